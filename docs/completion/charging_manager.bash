# bash completion for charging_manager
# Made by docs/completions.py from the command line's own table.
_charging_manager() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'run cloud_cert passwd demo open check drivers backup restore second-factor audit scan simulate replay --help --version' -- "$cur")
    return
  fi
  case ${COMP_WORDS[1]}:$prev in
    run:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    run:--drivers) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    run:--config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    run:--modbus-port) mapfile -t COMPREPLY < <(:); return ;;
    run:--modbus-allow) mapfile -t COMPREPLY < <(:); return ;;
    run:--modbus-bind) mapfile -t COMPREPLY < <(:); return ;;
    run:--proxy-from) mapfile -t COMPREPLY < <(:); return ;;
    cloud_cert:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    passwd:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    demo:--seed) mapfile -t COMPREPLY < <(:); return ;;
    demo:--port) mapfile -t COMPREPLY < <(:); return ;;
    demo:--cloud-port) mapfile -t COMPREPLY < <(:); return ;;
    demo:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    open:--code) mapfile -t COMPREPLY < <(:); return ;;
    open:--port) mapfile -t COMPREPLY < <(:); return ;;
    check:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    drivers:--drivers) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    drivers:--tcp) mapfile -t COMPREPLY < <(:); return ;;
    drivers:--rtutcp) mapfile -t COMPREPLY < <(:); return ;;
    drivers:--rtu) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    drivers:--unit) mapfile -t COMPREPLY < <(:); return ;;
    backup:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    backup:--passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    restore:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    restore:--passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    second-factor:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    audit:--data) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    audit:--database) mapfile -t COMPREPLY < <(:); return ;;
    audit:--head) mapfile -t COMPREPLY < <(:); return ;;
    scan:--network) mapfile -t COMPREPLY < <(:); return ;;
    scan:--serial) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    scan:--ports) mapfile -t COMPREPLY < <(:); return ;;
    scan:--units) mapfile -t COMPREPLY < <(:); return ;;
    scan:--drivers) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    simulate:--days) mapfile -t COMPREPLY < <(:); return ;;
    simulate:--seed) mapfile -t COMPREPLY < <(:); return ;;
    simulate:--set) mapfile -t COMPREPLY < <(:); return ;;
    simulate:--svg) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    simulate:--json) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    replay:--set) mapfile -t COMPREPLY < <(:); return ;;
    replay:--rules) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    replay:--hungry-kwh) mapfile -t COMPREPLY < <(:); return ;;
    replay:--every) mapfile -t COMPREPLY < <(:); return ;;
    replay:--svg) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    replay:--json) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
  esac
  if [[ $cur == -* ]]; then
    case ${COMP_WORDS[1]} in
    run) words='-cloud_server -allow_http --data --drivers --config --modbus-port --modbus-allow --modbus-bind --open-enrolment --proxy-from --help' ;;
    cloud_cert) words='--data --help' ;;
    passwd) words='--data --cloud --empty --help' ;;
    demo) words='--seed --port --cloud-port --data --help' ;;
    open) words='--code --port --help' ;;
    check) words='--data --help' ;;
    drivers) words='--json --all --drivers --tcp --rtutcp --rtu --unit --help' ;;
    backup) words='--data --cloud --encrypt --passphrase-file --help' ;;
    restore) words='--data --cloud --check --yes --passphrase-file --help' ;;
    second-factor) words='--data --cloud --help' ;;
    audit) words='--data --cloud --database --head --help' ;;
    scan) words='--network --serial --ports --units --all-units --json --drivers --help' ;;
    simulate) words='--days --seed --set --svg --json --every-second --help' ;;
    replay) words='--set --rules --hungry-kwh --every --svg --json --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    return
  fi
  case ${COMP_WORDS[1]} in
    run) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur") ;;
    cloud_cert) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    passwd) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur") ;;
    demo) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur") ;;
    open) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur") ;;
    check) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    drivers) mapfile -t COMPREPLY < <(compgen -W 'list check schema new read record simulate' -- "$cur"; compgen -f -- "$cur") ;;
    backup) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    restore) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    second-factor) mapfile -t COMPREPLY < <(compgen -W 'status off' -- "$cur") ;;
    audit) mapfile -t COMPREPLY < <(compgen -W 'verify' -- "$cur") ;;
    scan) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    simulate) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
    replay) mapfile -t COMPREPLY < <(compgen -W '' -- "$cur"; compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _charging_manager charging_manager
