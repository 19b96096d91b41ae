# fish completion for charging_manager
# Made by docs/completions.py from the command line's own table.
complete -c charging_manager -f
complete -c charging_manager -n __fish_use_subcommand -a run -d 'run the agent, or with -cloud_server the cloud server'
complete -c charging_manager -n __fish_use_subcommand -a cloud_cert -d 'put a certificate into the running cloud server'
complete -c charging_manager -n __fish_use_subcommand -a passwd -d 'set the admin password (asked for, or one line on stdin), or empty it'
complete -c charging_manager -n __fish_use_subcommand -a demo -d 'a simulated site, its agent and a cloud server, until Ctrl-C'
complete -c charging_manager -n __fish_use_subcommand -a open -d 'a browser’s private way to an installation in end-to-end mode, until Ctrl-C'
complete -c charging_manager -n __fish_use_subcommand -a check -d 'is this configuration valid'
complete -c charging_manager -n __fish_use_subcommand -a drivers -d 'list, check, begin, read or simulate drivers; the schema of their files'
complete -c charging_manager -n __fish_use_subcommand -a backup -d 'all of an agent’s or a cloud server’s state in one file, while it runs'
complete -c charging_manager -n __fish_use_subcommand -a restore -d 'put a backup’s state in place, with the daemon stopped; --check only looks'
complete -c charging_manager -n __fish_use_subcommand -a second-factor -d 'is the admin’s second factor on; switch it off when it is lost'
complete -c charging_manager -n __fish_use_subcommand -a audit -d 'is the cloud server’s audit log as it was written'
complete -c charging_manager -n __fish_use_subcommand -a scan -d 'look for devices in the own networks and on serial lines'
complete -c charging_manager -n __fish_use_subcommand -a simulate -d 'a whole site on a virtual clock: cars, house, weather and the real controller'
complete -c charging_manager -n __fish_use_subcommand -a replay -d 'a recorded day decided again, or under other limits'
complete -c charging_manager -n '__fish_seen_subcommand_from run' -o cloud_server
complete -c charging_manager -n '__fish_seen_subcommand_from run' -o allow_http
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l data -r -F
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l drivers -r -F
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l config -r -F
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l modbus-port -r
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l modbus-allow -r
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l modbus-bind -r
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l open-enrolment
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l proxy-from -r
complete -c charging_manager -n '__fish_seen_subcommand_from run' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from cloud_cert' -F
complete -c charging_manager -n '__fish_seen_subcommand_from cloud_cert' -F
complete -c charging_manager -n '__fish_seen_subcommand_from cloud_cert' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from cloud_cert' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from passwd' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from passwd' -l cloud -d 'that of the cloud server’s default state directory'
complete -c charging_manager -n '__fish_seen_subcommand_from passwd' -l empty -d 'empty it: then no login through a cloud works'
complete -c charging_manager -n '__fish_seen_subcommand_from passwd' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from demo' -l seed -r -d 'chooses cars and house load (default 1)'
complete -c charging_manager -n '__fish_seen_subcommand_from demo' -l port -r -d 'the agent’s port (default 8080)'
complete -c charging_manager -n '__fish_seen_subcommand_from demo' -l cloud-port -r -d 'the cloud server’s port (default 4443)'
complete -c charging_manager -n '__fish_seen_subcommand_from demo' -l data -r -F -d 'keep its state here (default: a folder that is removed)'
complete -c charging_manager -n '__fish_seen_subcommand_from demo' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from open' -l code -r -d 'its code, shown at the site; needed once'
complete -c charging_manager -n '__fish_seen_subcommand_from open' -l port -r -d 'port on this machine (default: any free one)'
complete -c charging_manager -n '__fish_seen_subcommand_from open' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from check' -F
complete -c charging_manager -n '__fish_seen_subcommand_from check' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from check' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -a 'list check schema new read record simulate' -d 'list, check, schema, new, read, record or simulate'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -F
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l json -d 'check: what was found, for other programs'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l all -d 'read: show tags and serial numbers too'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l drivers -r -F -d 'one more folder of drivers'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l tcp -r -d 'simulate on this TCP port of the loopback interface'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l rtutcp -r -d 'simulate RTU frames on this TCP port'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l rtu -r -F -d 'simulate on this serial line or pseudo-terminal'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l unit -r -d 'Modbus unit (default: the driver’s)'
complete -c charging_manager -n '__fish_seen_subcommand_from drivers' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -F
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -l cloud -d 'that of the cloud server’s default state directory'
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -l encrypt -d 'under a passphrase, asked for at the terminal'
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -l passphrase-file -r -F -d 'its first line is the passphrase; - reads it from stdin'
complete -c charging_manager -n '__fish_seen_subcommand_from backup' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -F
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l cloud -d 'that of the cloud server’s default state directory'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l check -d 'only say whether it is sound and what it holds'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l yes -d 'do not ask before it takes the place of what is there'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l passphrase-file -r -F -d 'its first line is the passphrase; - reads it from stdin'
complete -c charging_manager -n '__fish_seen_subcommand_from restore' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from second-factor' -a 'status off' -d 'status: is it on; off: switch it off'
complete -c charging_manager -n '__fish_seen_subcommand_from second-factor' -l data -r -F -d 'state directory (default: the daemon’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from second-factor' -l cloud -d 'that of the cloud server’s default state directory'
complete -c charging_manager -n '__fish_seen_subcommand_from second-factor' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -a 'verify' -d 'verify: look through the whole chain'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -l data -r -F -d 'state directory (default: the cloud server’s own)'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -l cloud -d 'that of the cloud server’s default state directory'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -l database -r -d 'address of the PostgreSQL database, where that is used'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -l head -r -d 'a head that was noted before, in the log or by /metrics'
complete -c charging_manager -n '__fish_seen_subcommand_from audit' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -F
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l network -r -d 'a network to search; may be given several times'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l serial -r -F -d 'a serial device to search; may be given several times'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l ports -r -d 'TCP ports, as in 502,4701 (default: those that the drivers name)'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l units -r -d 'Modbus units, as in 1-16,255 (default: the usual ones)'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l all-units -d 'all Modbus units, 1 to 247: takes long'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l json -d 'print one JSON document when all is over'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l drivers -r -F -d 'one more folder of drivers'
complete -c charging_manager -n '__fish_seen_subcommand_from scan' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -F
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l days -r -d 'how long (default 7)'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l seed -r -d 'chooses weather, house load and arrivals (default 1)'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l set -r -d 'change the site, as in main.limit_a=63; may be given several times'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l svg -r -F -d 'draw it into this file'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l json -r -F -d 'write all figures into this file'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l every-second -d 'decide in every second, also where nothing happens (slow)'
complete -c charging_manager -n '__fish_seen_subcommand_from simulate' -l help -d 'what it does and what it takes'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -F
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l set -r -d 'change the site, as in main.limit_a=63; may be given several times'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l rules -r -F -d 'rules in place of those that were recorded, as the rules page exports them'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l hungry-kwh -r -d 'what a car that left hungry is taken to want in all (default 40)'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l every -r -d 'seconds between two decisions while anything moves'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l svg -r -F -d 'draw it into this file'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l json -r -F -d 'write all figures into this file'
complete -c charging_manager -n '__fish_seen_subcommand_from replay' -l help -d 'what it does and what it takes'
