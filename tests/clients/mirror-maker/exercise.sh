# shellcheck shell=bash
# All records of a topic stand in the other virtual cluster, in order, and a group goes on there where it was.
java=(java -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="$TOKEN_URL" -cp 'libs/*')
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

consume() { # consume BOOTSTRAP TOPIC COUNT GROUP
    "${java[@]}" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$1" \
        --command-config login.properties --topic "$2" --group "$4" --max-messages "$3" --timeout-ms 60000 \
        --command-property auto.offset.reset=earliest 2>>consumer.log
}

"${java[@]}" org.apache.kafka.connect.mirror.MirrorMaker mm2.properties >exercise.log 2>&1 &
mirror=$!
# Longer than a token is good for.
for ((number = 1; number <= 1000; number++)); do
    echo "$number"
    if [ $((number % 100)) -eq 0 ]; then sleep 1.5; fi
done | "${java[@]}" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" \
    --command-config login.properties --topic "$TOPIC" 2>producer.log
# Where it was: after the run's one record and six hundred of these.
consume "$BOOTSTRAP" "$TOPIC" 601 "$GROUP" | tail -n 600 >first.txt
seq 1 600 | cmp - first.txt
# As the run's reader, which has read that one record.
consume "$OTHER_BOOTSTRAP" "a.$TOPIC" 1000 mirror-maker-readers >copied.txt
seq 1 1000 | cmp - copied.txt
# A checkpoint may lie before where the group is, never after it: what was not read comes, and nothing is left out.
for ((tries = 0; tries < 60; tries++)); do
    if "${java[@]}" org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$OTHER_BOOTSTRAP" \
        --command-config login.properties --group "$GROUP" --describe --offsets 2>>consumer.log |
        grep -E "a\.$TOPIC +0 +[1-9]" >offsets.txt; then break; fi
    kill -0 "$mirror"
done
offset=$(awk '{ print $4 }' offsets.txt)
[ "$offset" -gt 0 ] && [ "$offset" -le 601 ] || { echo "the group is at $offset" && exit 1; }
kill "$mirror"
wait "$mirror" || true
consume "$OTHER_BOOTSTRAP" "a.$TOPIC" $((1001 - offset)) "$GROUP" >rest.txt
seq "$offset" 1000 | cmp - rest.txt
if grep -hE 'AuthorizationException|AuthenticationException|UnsupportedVersionException' ./*.log; then exit 1; fi
echo "done: 1000 records went from one virtual cluster to the other in order, and a group went on there at $offset"
