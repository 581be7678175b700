# shellcheck shell=bash
# Two members of a share group divide the records among them: each comes once, to one of the two.
COUNT=2000
java=(java -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="$TOKEN_URL" -cp 'libs/*')
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

share() { # share NAME: a member that tells of each record, until it is stopped
    "${java[@]}" org.apache.kafka.tools.VerifiableShareConsumer --bootstrap-server "$BOOTSTRAP" \
        --command-config gateway.properties --topic "$TOPIC" --group-id "$GROUP" --acknowledgement-mode sync \
        --verbose >"$1.txt" 2>"$1.log" &
}

# shown: the number of each record that came.
shown() { cat one.txt two.txt | sed -n '/"record_data"/s/.*"value":"\{0,1\}number-\([0-9]*\)".*/\1/p'; }

share one
share two
# Longer than a token is good for.
for ((number = 1; number <= COUNT; number++)); do
    echo "number-$number"
    if [ $((number % 100)) -eq 0 ]; then sleep 0.8; fi
done | "${java[@]}" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" \
    --command-config gateway.properties --topic "$TOPIC" 2>producer.log
for ((tries = 0; tries < 120; tries++)); do
    if [ "$(shown | sort -u | wc -l)" -ge "$COUNT" ]; then break; fi
    sleep 0.5
done
shown | sort -n >came.txt
seq 1 "$COUNT" | cmp - came.txt
if grep -hE 'AuthorizationException|AuthenticationException|UnsupportedVersionException' ./*.log; then exit 1; fi
echo "done: $COUNT records came to two members of a share group, each once"
