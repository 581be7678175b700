# shellcheck shell=bash
# Numbered records go in and come out while one broker after another is away: none is lost, none comes twice.
COUNT=4000
TOPIC=tools-numbers
java=(java -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="$TOKEN_URL" -cp 'libs/*')
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

tool() { # tool CLASS ARGS...
    "${java[@]}" "org.apache.kafka.tools.$1" --bootstrap-server "$BOOTSTRAP" --command-config gateway.properties "${@:2}"
}

consume() { # consume GROUP: what so many records say, a line each
    tool VerifiableConsumer --topic "$TOPIC" --group-id "$1" --reset-policy earliest --verbose \
        --max-messages "$COUNT" 2>>consumer.log
}

# numbers: partition and number of each record that a consumer told of.
numbers() {
    grep '"record_data"' | sed -E 's/.*"value":"?([0-9]+)"?.*/& \1/; s/.*"partition":([0-9]+).* ([0-9]+)$/\1 \2/'
}

tool TopicCommand --create --topic "$TOPIC" --partitions 6 --replication-factor 3 >tool.log 2>&1
printf '%s\n' enable.idempotence=true retries=2147483647 >>gateway.properties
tool VerifiableProducer --topic "$TOPIC" --max-messages "$COUNT" --throughput 100 --acks -1 >sent.txt 2>producer.log &
producer=$!
consume tools-meanwhile >meanwhile.txt &
consumer=$!
for node in 2 3; do
    "$SLUICEGATE_ROOT/scripts/kafka" stop --dir "$KAFKA_DIR" --node "$node" >>tool.log 2>&1
    "$SLUICEGATE_ROOT/scripts/kafka" again --dir "$KAFKA_DIR" --node "$node" >>tool.log 2>&1
done
wait "$producer"
wait "$consumer"
consume tools-afterwards >afterwards.txt

sent=$(grep -c '"producer_send_success"' sent.txt)
[ "$sent" -eq "$COUNT" ] || { echo "$sent of $COUNT records were acknowledged" && exit 1; }
if grep -m 1 '"producer_send_error"' sent.txt; then exit 1; fi
numbers <afterwards.txt >numbers.txt
awk '
    ($1 in last) && $2 <= last[$1] { print "partition " $1 " has " $2 " after " last[$1]; wrong = 1; exit }
    { last[$1] = $2 }
    END { exit wrong }' numbers.txt
different=$(cut -d ' ' -f 2 numbers.txt | sort -un | wc -l)
[ "$different" -eq "$COUNT" ] && [ "$(wc -l <numbers.txt)" -eq "$COUNT" ] ||
    { echo "$(wc -l <numbers.txt) records, $different different" && exit 1; }
echo "done: $COUNT records (idempotent, acks=all) while two brokers in turn were away: all there, in order, none twice"
