"""What kafka-python's users do with it, through the gateway. Ends with a line that says what was done."""

import os
import time

from gateway import SETTINGS
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import TopicAuthorizationFailedError

PREFIX = os.environ["PREFIX"]
ORDERS, LASTING, PAID, READERS = (PREFIX + name for name in ("orders", "lasting", "paid", "readers"))
KEYS = 50


def consume(topic, first, count):
    """Reads so many records of a topic as the group, commits them, and looks whether there are more."""
    consumer = KafkaConsumer(
        topic,
        group_id=READERS,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        **SETTINGS,
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
    last = {}
    for record in records:
        number = int(record.value)
        assert record.key == b"key-%d" % (number % KEYS), record
        assert last.get(record.key, -1) < number, f"{record.key} has {number} after {last[record.key]}"
        last[record.key] = number
    numbers = sorted(int(record.value) for record in records)
    assert numbers == list(range(first, first + count)), f"{len(numbers)} records, {len(set(numbers))} different"


def produce(producer, topic, numbers):
    sent = [
        producer.send(topic, key=b"key-%d" % (number % KEYS), value=b"%d" % number) for number in numbers
    ]
    for future in sent:
        future.get(timeout=30)


def transact():
    """Commits one transaction and aborts another, for a reader that sees only the first."""
    producer = KafkaProducer(transactional_id=PREFIX + "payments", **SETTINGS)
    producer.init_transactions()
    producer.begin_transaction()
    produce(producer, PAID, range(10))
    producer.commit_transaction()
    producer.begin_transaction()
    produce(producer, PAID, range(10, 20))
    producer.abort_transaction()
    producer.close()
    consume(PAID, 0, 10)


def main():
    admin = KafkaAdminClient(**SETTINGS)
    topics = ((ORDERS, 3), (LASTING, 1), (PAID, 1))
    admin.create_topics([NewTopic(name, num_partitions=count) for name, count in topics])
    producer = KafkaProducer(enable_idempotence=True, compression_type="gzip", linger_ms=20, **SETTINGS)
    produce(producer, ORDERS, range(1000))
    consume(ORDERS, 0, 1000)
    produce(producer, ORDERS, range(1000, 1010))
    consume(ORDERS, 1000, 10)

    try:
        produce(producer, os.environ["CLOSED"], [0])
        raise AssertionError("a topic without rights was written to")
    except TopicAuthorizationFailedError:
        pass
    topics = set(admin.list_topics())
    assert {ORDERS, LASTING} <= topics and all(name.startswith(PREFIX) for name in topics), topics
    groups = {group["group_id"] for group in admin.list_groups()}
    assert READERS in groups and all(name.startswith(PREFIX) for name in groups), groups
    transact()

    # Longer than a token is good for.
    written = 0
    end = time.monotonic() + 15
    while time.monotonic() < end:
        produce(producer, LASTING, [written])
        written += 1
        time.sleep(0.1)
    consume(LASTING, 0, written)
    admin.close()
    producer.close()
    print("done: created, wrote 1000 (idempotent, gzip), read in order and none twice, was refused, committed and aborted, lasted")


if __name__ == "__main__":
    main()
