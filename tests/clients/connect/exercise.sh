# shellcheck shell=bash
# What the users of a worker do with it: lines come out as they went in, also when it is killed amid them.
# The properties are those that the page's run has made.
# Else the groups wait three quarters of a minute for a worker that was killed.
printf '%s\n' session.timeout.ms=6000 heartbeat.interval.ms=1000 consumer.session.timeout.ms=6000 >>worker.properties
export TOPIC=connect-lines

start() {
    java -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="$TOKEN_URL" -cp 'libs/*' \
        org.apache.kafka.connect.cli.ConnectDistributed worker.properties >>"exercise.log" 2>&1 &
    worker=$!
    until curl -fs "$REST/connectors" >/dev/null; do
        kill -0 "$worker"
        sleep 0.5
    done
}
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

put() { # put NAME FILE KEY VALUE: a connector that is as the page's, but for that
    sed "s/\"$3\": \"[^\"]*\"/\"$3\": \"$4\"/" "$2" |
        curl -fsS -X PUT -H "Content-Type: application/json" -d @- "$REST/connectors/$1/config" >/dev/null
}

# ask METHOD PATH: again for as long as the worker says that it is not ready for it.
ask() {
    local tries
    for ((tries = 0; tries < 60; tries++)); do
        if curl -fs -X "$1" "$REST/connectors/$2"; then return; fi
        sleep 0.5
    done
    curl -sS -X "$1" "$REST/connectors/$2" && exit 1
}

# lines FILE N: waits until the file has so many different ones.
lines() {
    local tries
    for ((tries = 0; tries < 180; tries++)); do
        if [ "$(sort -u "$1" 2>/dev/null | wc -l)" -ge "$2" ]; then return; fi
        kill -0 "$worker"
        sleep 0.5
    done
    echo "$1 has $(sort -u "$1" | wc -l) of $2 lines" && exit 1
}

seq -f 'line %04g' 1 1000 >lines.txt
start
put lines-source source.json file lines.txt
put lines-sink sink.json file came.txt
lines came.txt 400
kill -KILL "$worker"
wait "$worker" || true
seq -f 'line %04g' 1001 1500 >>lines.txt
start
lines came.txt 1500
# Longer than a token is good for.
for ((number = 1501; number <= 1650; number++)); do
    printf 'line %04d\n' "$number" >>lines.txt
    sleep 0.1
done
lines came.txt 1650
# A second sink reads the topic from its beginning: what the source wrote, in order and nothing twice.
put again-sink sink.json file again.txt
lines again.txt 1650
cmp lines.txt again.txt
ask GET again-sink/status | grep -q '"tasks":\[{"id":0,"state":"RUNNING"'
# Its offsets are its group's; without them it starts over.
ask PUT again-sink/stop
ask GET again-sink/offsets >/dev/null
ask DELETE again-sink/offsets >/dev/null
rm again.txt
ask PUT again-sink/resume
lines again.txt 1650
cmp lines.txt again.txt
ask DELETE lines-sink
ask DELETE lines-source
if grep -E 'AuthorizationException|AuthenticationException|UnsupportedVersionException' ./*.log; then exit 1; fi
echo "done: 1650 lines came out as they went in, each once, with the worker's death amid them; reset and read again"
