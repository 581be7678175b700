"""What kafka-python's users do with it, through the gateway. Ends with a line that says what was done."""

import json
import os
import time

from gateway import SETTINGS
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import TopicAuthorizationFailedError

PREFIX = os.environ["PREFIX"]
ORDERS, READERS, LASTING = PREFIX + "orders", PREFIX + "readers", PREFIX + "lasting"
KEYS = 50


def consume(topic, count):
    """So many records of a topic, read by the group and committed; and what else it is given meanwhile."""
    consumer = KafkaConsumer(
        topic, group_id=READERS, auto_offset_reset="earliest", enable_auto_commit=False, **SETTINGS
    )
    records = []
    deadline = time.monotonic() + 60
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records after a minute"
        for batch in consumer.poll(timeout_ms=500).values():
            records += batch
    for batch in consumer.poll(timeout_ms=500).values():
        records += batch
    consumer.commit()
    consumer.close()
    return records


def check_order(records, first, count):
    last = {}
    for record in records:
        number = json.loads(record.value)["number"]
        assert record.key == b"key-%d" % (number % KEYS), record
        assert last.get(record.key, -1) < number, f"{record.key} has {number} after {last[record.key]}"
        last[record.key] = number
    numbers = sorted(json.loads(record.value)["number"] for record in records)
    assert numbers == list(range(first, first + count)), f"{len(numbers)} records, {len(set(numbers))} different"


def produce(producer, topic, numbers):
    sent = [
        producer.send(topic, key=b"key-%d" % (number % KEYS), value=json.dumps({"number": number}).encode())
        for number in numbers
    ]
    for future in sent:
        future.get(timeout=30)


def main():
    admin = KafkaAdminClient(**SETTINGS)
    admin.create_topics([NewTopic(ORDERS, num_partitions=3), NewTopic(LASTING, num_partitions=1)])
    producer = KafkaProducer(enable_idempotence=True, compression_type="gzip", linger_ms=20, **SETTINGS)
    produce(producer, ORDERS, range(1000))
    check_order(consume(ORDERS, 1000), 0, 1000)
    produce(producer, ORDERS, range(1000, 1010))
    check_order(consume(ORDERS, 10), 1000, 10)

    try:
        produce(producer, os.environ["CLOSED"], [0])
        raise AssertionError("a topic without rights was written to")
    except TopicAuthorizationFailedError:
        pass
    topics = set(admin.list_topics())
    assert {ORDERS, LASTING} <= topics and all(name.startswith(PREFIX) for name in topics), topics
    groups = {group["group_id"] for group in admin.list_groups()}
    assert READERS in groups and all(name.startswith(PREFIX) for name in groups), groups

    # Longer than a token is good for.
    written = 0
    end = time.monotonic() + 15
    while time.monotonic() < end:
        produce(producer, LASTING, [written])
        written += 1
        time.sleep(0.1)
    check_order(consume(LASTING, written), 0, written)
    admin.close()
    producer.close()
    print("done: created, wrote 1000 (idempotent, gzip), read them in order and none twice, was refused, lasted")


if __name__ == "__main__":
    main()
