// Types of what ui.js hands on from the vendored libraries, as far as the pages use it; only the type checker reads this.

export type Drawn = unknown;
export function html(parts: TemplateStringsArray, ...values: unknown[]): Drawn;
export function render(tree: Drawn, place: Element): void;
export const Fragment: unknown;

export class Component<Props = any, State = any> {
  props: Props;
  state: State;
  setState(change: Partial<State>): void;
  componentDidCatch?(error: unknown): void;
  shouldComponentUpdate?(next: Props, state: State): boolean;
  render(props: Props, state: State): Drawn;
}

export interface Signal<T> {
  value: T;
  peek(): T;
}

export function signal<T>(value: T): Signal<T>;
export function computed<T>(compute: () => T): Signal<T>;
export function effect(run: () => void | (() => void)): () => void;
export function batch<T>(run: () => T): T;
export function untracked<T>(run: () => T): T;
export function useSignal<T>(value: T): Signal<T>;
export function useComputed<T>(compute: () => T): Signal<T>;

export function useState<T>(first: T | (() => T)): [T, (next: T | ((old: T) => T)) => void];
export function useRef<T>(first: T): { current: T };
export function useId(): string;
export function useEffect(run: () => void | (() => void), depends?: readonly unknown[]): void;
export function useLayoutEffect(run: () => void | (() => void), depends?: readonly unknown[]): void;
export function useErrorBoundary(caught?: (error: unknown) => void): [unknown, () => void];
