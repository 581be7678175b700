"""librdkafka, as its users configure it, told what to do by lines on standard input; one line of outcome for each.

    python librdkafka.py BOOTSTRAP CLIENT_ID CLIENT_SECRET TOKEN_URL [CA_FILE]
    python librdkafka.py PROPERTIES-FILE

    as NAME                    -> ok                      (from here on by the properties of this file beside the first)

    produce TOPIC VALUE        -> ok
    produce-compressed TOPIC CODEC | produce-all TOPIC PARTITIONS
    keep-producing TOPIC SECONDS -> ok cuts=0             (how often it was cut off)
    write-until FILE TOPIC NAME... -> ok                  (as each of these, until the file is there)
    round-trips TOPIC GROUP FILE -> ok                    (writes and reads numbers until the file is there)
    consume TOPIC[,TOPIC] GROUP COUNT -> ok VALUE ...      (from the beginning, committed)
    consume-all TOPIC GROUP COUNT                         (the same, sorted: partitions come in no order)
    create TOPIC PARTITIONS REPLICAS | delete TOPIC | partitions TOPIC COUNT | configs TOPIC KEY
    transact ID commit|abort TOPIC VALUE TOPIC VALUE...
    move ID FROM GROUP COUNT TO -> ok COUNT               (what the group reads is written on, both committed at once)
    fence ID TOPIC                                        (a second producer takes the id; what the first is told)
    set-config TOPIC KEY VALUE | topics [PREFIX] | topic TOPIC | groups [PREFIX] | delete-group GROUP

What goes wrong is told by the name Kafka has for it, for example TOPIC_AUTHORIZATION_FAILED.
"""

import functools
import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

# Longer than a broker on a busy machine takes to make the topics a first group needs, shorter than a test's patience.
SECONDS = 30

# What librdkafka calls errors of its own, so that an outcome compares by a word.
OWN_NAMES = {
    KafkaError._AUTHENTICATION: "SASL_AUTHENTICATION_FAILED",
    KafkaError._TIMED_OUT: "REQUEST_TIMED_OUT",
}

# librdkafka tells of a refused login by this callback only; the call that waits for it merely times out.
login_refused = []
# And so of a connection that ends without its doing.
cuts = []


def is_alert(error):
    """Whether the other side ended TLS and said why: librdkafka has no code for that."""
    return "SSL alert number" in error.str()


def on_error(error):
    if error.code() == KafkaError._AUTHENTICATION or is_alert(error):
        login_refused.append(error)
    else:
        cuts.append(error)


def settings_in(file):
    with open(file) as lines:
        return dict(line.strip().split("=", 1) for line in lines if "=" in line) | {"error_cb": on_error}


def settings_for_tokens(bootstrap, client_id, client_secret, token_url, *ca_file):
    settings = {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": client_id,
        "sasl.oauthbearer.client.secret": client_secret,
        "sasl.oauthbearer.token.endpoint.url": token_url,
        "error_cb": on_error,
    }
    if ca_file:
        settings |= {"security.protocol": "SASL_SSL", "ssl.ca.location": ca_file[0]}
    return settings


SETTINGS = settings_in(sys.argv[1]) if len(sys.argv) == 2 else settings_for_tokens(*sys.argv[1:])


def become(name):
    global SETTINGS
    SETTINGS = settings_in(os.path.join(os.path.dirname(sys.argv[1]), name))
    admin.cache_clear()
    return ""


def name_of(error):
    if is_alert(error):
        return "SSL_AUTHENTICATION_FAILED"
    return OWN_NAMES.get(error.code(), error.name())


def produce(topic, value):
    return deliver(Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000}), topic, value)


def produce_compressed(topic, codec):
    producer = Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000, "compression.type": codec})
    return deliver(producer, topic, "again and " * 1000)


def produce_all(topic, count):
    producer = Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000})
    for partition in range(int(count)):
        deliver(producer, topic, f"to-{partition}", partition=partition)
    return ""


def keep_producing(topic, seconds):
    cuts.clear()
    producer = Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000})
    end = time.monotonic() + int(seconds)
    while time.monotonic() < end:
        deliver(producer, topic, "value")
        time.sleep(0.1)
    for error in cuts:
        print(error, file=sys.stderr)
    return f"cuts={len(cuts)}"


def write_until(file, topic, *names):
    producers = []
    for name in names:
        become(name)
        producers.append(Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000}))
    deadline = time.monotonic() + 3 * SECONDS
    while not os.path.exists(file):
        for producer in producers:
            deliver(producer, topic, "value")
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        time.sleep(0.05)
    return ""


def round_trips(topic, group, stop_file):
    """Writes numbers and reads each, until the file is there: none is lost, and none waits for ever."""
    producer = Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000, "enable.idempotence": True})
    consumer = Consumer({**SETTINGS, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    number = 0
    try:
        while not os.path.exists(stop_file):
            deliver(producer, topic, str(number))
            await_number(consumer, number)
            number += 1
            time.sleep(0.05)
    finally:
        consumer.close()
    print(f"{number} numbers", file=sys.stderr)
    return ""


def await_number(consumer, number):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        # What was read and not committed when the group moved is read again.
        if int(message.value()) >= number:
            if int(message.value()) == number:
                return
            break
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def deliver(producer, topic, value, **where):
    reports = []
    producer.produce(topic, value, on_delivery=lambda error, _: reports.append(error), **where)
    deadline = time.monotonic() + SECONDS
    while not reports and not login_refused and time.monotonic() < deadline:
        producer.poll(0.1)
    error = (reports or login_refused or [KafkaError(KafkaError._TIMED_OUT)])[0]
    if error is not None:
        producer.purge()
        raise KafkaException(error)
    return ""


def transactional(producer_id):
    return Producer({**SETTINGS, "message.timeout.ms": SECONDS * 1000, "transactional.id": producer_id})


def transact(producer_id, end, *pairs):
    producer = transactional(producer_id)
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    for topic, value in zip(pairs[::2], pairs[1::2]):
        deliver(producer, topic, value)
    if end == "commit":
        producer.commit_transaction(SECONDS)
    else:
        producer.abort_transaction(SECONDS)
    return ""


def move(producer_id, source, group, count, target):
    producer = transactional(producer_id)
    consumer = Consumer(
        {**SETTINGS, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([source])
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    moved = 0
    deadline = time.monotonic() + SECONDS
    try:
        while moved < int(count) and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                deliver(producer, target, message.value().decode())
                moved += 1
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), SECONDS
        )
        producer.commit_transaction(SECONDS)
    finally:
        consumer.close()
    return moved


def fence(producer_id, topic):
    first, second = transactional(producer_id), transactional(producer_id)
    first.init_transactions(SECONDS)
    first.begin_transaction()
    deliver(first, topic, "fenced")
    second.init_transactions(SECONDS)
    first.commit_transaction(SECONDS)
    return "not fenced"


def consume(topic, group, count):
    consumer = Consumer(
        {**SETTINGS, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe(topic.split(","))
    values = []
    deadline = time.monotonic() + SECONDS
    try:
        while len(values) < int(count):
            message = consumer.poll(0.1)
            if login_refused:
                raise KafkaException(login_refused[0])
            if message is not None and message.error():
                # A topic just created may be unknown to one broker for a moment; librdkafka asks again.
                if message.error().code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise KafkaException(message.error())
            elif message is not None:
                values.append(message.value().decode())
            elif time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    return " ".join(values)


def consume_all(topic, group, count):
    return " ".join(sorted(consume(topic, group, count).split()))


@functools.cache  # a client that nobody holds any more never gets its answer
def admin():
    return AdminClient(SETTINGS)


def all_done(futures):
    for future in futures.values():
        future.result(SECONDS)
    return ""


def create(topic, partitions, replicas):
    return all_done(admin().create_topics([NewTopic(topic, int(partitions), int(replicas))]))


def delete(topic):
    return all_done(admin().delete_topics([topic]))


def partitions(topic, count):
    return all_done(admin().create_partitions([NewPartitions(topic, int(count))]))


def configs(topic, key):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return admin().describe_configs([resource])[resource].result(SECONDS)[key].value


def set_config(topic, key, value):
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    all_done(admin().incremental_alter_configs([resource]))
    # Brokers learn of it one after the other, and each question may go to another one.
    in_a_row = 0
    deadline = time.monotonic() + SECONDS
    while in_a_row < 6 and time.monotonic() < deadline:
        in_a_row = in_a_row + 1 if configs(topic, key) == value else 0
        if not in_a_row:
            time.sleep(0.05)
    return ""


def topics(prefix=""):
    names = admin().list_topics(timeout=SECONDS).topics
    return " ".join(sorted(name for name in names if name.startswith(prefix)))


def topic(name):
    found = admin().list_topics(name, timeout=SECONDS).topics[name]
    if found.error is not None:
        raise KafkaException(found.error)
    return f"partitions={len(found.partitions)} replicas={len(found.partitions[0].replicas)}"


def groups(prefix=""):
    found = admin().list_consumer_groups(request_timeout=SECONDS).result(SECONDS)
    if found.errors:
        raise found.errors[0]
    return " ".join(sorted(group.group_id for group in found.valid if group.group_id.startswith(prefix)))


def delete_group(group):
    return all_done(admin().delete_consumer_groups([group]))


VERBS = {
    verb.__name__.replace("_", "-"): verb
    for verb in (
        produce, produce_compressed, produce_all, keep_producing, write_until, round_trips, transact, move, fence, consume, consume_all, create, delete, partitions, configs, set_config, topics, topic, groups, delete_group,
    )
}

VERBS["as"] = become


def main():
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        login_refused.clear()
        try:
            outcome = f"ok {VERBS[words[0]](*words[1:])}".strip()
        except KafkaException as exception:
            # A refused login shows as a time-out in most calls; the callback knows better.
            error = login_refused[0] if login_refused else exception.args[0]
            print(f"{line.strip()}: {error}", file=sys.stderr)
            outcome = name_of(error)
        print(f"{line.strip()} -> {outcome}", flush=True)


if __name__ == "__main__":
    main()
