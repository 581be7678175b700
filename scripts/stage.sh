# shellcheck shell=bash disable=SC2154 # `here` is the folder of scripts
# What a script starts beside itself, and that it ends with the script. Sourced after packages.sh, never run.
#
# The one who sources it sets `run`, the folder of logs, and may set `keep_logs`; calls `end_everything` at its end;
# and has a function `wrong TEXT`, which says what was seen instead and ends the script.

run='' keep_logs='' started=()

# alive PID: also false for a process that ended and was not yet waited for.
alive() { kill -0 "$1" 2>/dev/null && [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" != Z ]; }

end_everything() {
    local pid tries=0
    trap '' INT TERM
    for pid in ${started[@]+"${started[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
    if [ -n "$run" ]; then
        "$here/kafka" stop --dir "$run/kafka" --now || true
        "$here/keycloak" stop --dir "$run/keycloak" --now || true
    fi
    for pid in ${started[@]+"${started[@]}"}; do
        # The gateway lets requests in flight finish; ten seconds of that are enough here.
        while alive "$pid"; do
            tries=$((tries + 1))
            if [ "$tries" -gt 100 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.1
        done
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$keep_logs" ]; then
        say "the logs are in $run"
    elif [ -n "$run" ]; then
        rm -rf "$run"
    fi
}

# background NAME COMMAND...: with its output in a file. Ctrl-C is for this script, which then says goodbye itself.
background() {
    local name=$1
    shift
    (
        trap '' INT
        exec "$@" >"$run/$name.log" 2>&1 </dev/null
    ) &
    started+=($!)
}

# await NAME URL: until it answers 200, or the process that should answer has ended.
await() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        if curl -fs -o /dev/null --max-time 2 "$2"; then return; fi
        if ! alive "${started[-1]}"; then break; fi
        sleep 0.1
    done
    cp "$run/$1.log" "$run/tool.log"
    wrong "the $1 did not get ready; $2 does not answer with 200"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
