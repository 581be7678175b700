# shellcheck shell=bash
# The page's word count, killed and ended amid its work and started again: each word is counted once.
java=(java -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="$TOKEN_URL" -cp 'libs/*')
# Else the group waits three quarters of a minute for an instance that was killed.
echo session.timeout.ms=6000 >>gateway.properties

start() {
    "${java[@]}" WordCount.java 2>"streams-$1.log" &
    application=$!
}
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

start first
"${java[@]}" Exercise.java write 2000 2>writer.log &
writer=$!
"${java[@]}" Exercise.java read 300 2>reader.log
kill -KILL "$application"
wait "$application" || true
start second
"${java[@]}" Exercise.java read 900 2>reader.log
kill "$application"
wait "$application" || true
start third
wait "$writer"
text=$("${java[@]}" Exercise.java read 2000 2>reader.log)
[ "$text" = "counted 4000 words, 13 different" ] || { echo "$text" && exit 1; }
# What it says of failures that it lived through, besides the end of those that were stopped, is not expected.
if grep -E 'AuthorizationException|AuthenticationException|UnsupportedVersionException' ./*.log; then exit 1; fi
echo "done: $text, each once, with one end and one death amid them"
