"""Speed and memory, always as ratios to a real peer in the same run where there is one: machines differ and are noisy.

Each module has ``FIGURES``: the name of a measurement to a function that returns figures (bench.figures.Figure or the
same five values).
"""
