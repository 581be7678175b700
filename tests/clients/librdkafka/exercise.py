"""What librdkafka's users do with it, by confluent-kafka and through the gateway. Ends with a line that says what."""

import os
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from gateway import SETTINGS

PREFIX = os.environ["PREFIX"]
ORDERS, LASTING, PAID, READERS = (PREFIX + name for name in ("orders", "lasting", "paid", "readers"))
KEYS = 50


def consume(topic, first, count):
    """Reads so many records of a topic as the group, commits them, and looks whether there are more."""
    settings = {"group.id": READERS, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**SETTINGS, **settings})
    consumer.subscribe([topic])
    records = []
    deadline = time.monotonic() + 60
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records after a minute"
        records += consumer.consume(count, timeout=0.5)
    records += consumer.consume(count, timeout=0.5)
    consumer.commit(asynchronous=False)
    consumer.close()
    last = {}
    for record in records:
        if record.error():
            raise KafkaException(record.error())
        number = int(record.value())
        assert record.key() == b"key-%d" % (number % KEYS), record.key()
        assert last.get(record.key(), -1) < number, f"{record.key()} has {number} after {last[record.key()]}"
        last[record.key()] = number
    numbers = sorted(int(record.value()) for record in records)
    assert numbers == list(range(first, first + count)), f"{len(numbers)} records, {len(set(numbers))} different"


def produce(producer, topic, numbers):
    errors = []
    for number in numbers:
        producer.produce(topic, key=f"key-{number % KEYS}", value=str(number), on_delivery=lambda e, _: errors.append(e))
    assert producer.flush(30) == 0, "not delivered after 30 seconds"
    assert len(errors) == len(numbers)
    for error in filter(None, errors):
        raise KafkaException(error)


def transact():
    """Pays what a group reads, with its offsets in the same transaction; what is aborted is not seen."""
    settings = {"group.id": PREFIX + "payers", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    payer = Consumer({**SETTINGS, **settings})
    payer.subscribe([ORDERS])
    producer = Producer({**SETTINGS, "transactional.id": PREFIX + "payments"})
    producer.init_transactions(30)
    producer.begin_transaction()
    produce(producer, PAID, range(2000, 2010))
    producer.abort_transaction(30)
    paid = 0
    deadline = time.monotonic() + 60
    while paid < 1010:
        assert time.monotonic() < deadline, f"{paid} of 1010 records after a minute"
        records = payer.consume(500, timeout=0.5)
        if not records:
            continue
        producer.begin_transaction()
        produce(producer, PAID, [int(record.value()) for record in records])
        producer.send_offsets_to_transaction(
            payer.position(payer.assignment()), payer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)
        paid += len(records)
    committed = sum(partition.offset for partition in payer.committed(payer.assignment(), timeout=30))
    assert committed == 1010, f"{committed} of 1010 records are committed"
    payer.close()
    consume(PAID, 0, 1010)


def main():
    admin = AdminClient(SETTINGS)
    made = admin.create_topics([NewTopic(name, count, 1) for name, count in ((ORDERS, 3), (LASTING, 1), (PAID, 1))])
    for future in made.values():
        future.result(30)
    producer = Producer({**SETTINGS, "enable.idempotence": True, "compression.type": "lz4"})
    produce(producer, ORDERS, range(1000))
    consume(ORDERS, 0, 1000)
    produce(producer, ORDERS, range(1000, 1010))
    consume(ORDERS, 1000, 10)

    try:
        produce(Producer(SETTINGS), os.environ["CLOSED"], [0])
        raise AssertionError("a topic without rights was written to")
    except KafkaException as exception:
        assert exception.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, exception
    topics = list(admin.list_topics(timeout=30).topics)
    groups = [group.group_id for group in admin.list_consumer_groups().result(30).valid]
    assert ORDERS in topics and READERS in groups, (topics, groups)
    assert all(name.startswith(PREFIX) for name in [*topics, *groups]), (topics, groups)
    transact()

    # Longer than a token is good for.
    written = 0
    end = time.monotonic() + 15
    while time.monotonic() < end:
        produce(producer, LASTING, [written])
        written += 1
        time.sleep(0.1)
    consume(LASTING, 0, written)
    print("done: created, wrote 1000 (idempotent, lz4), read in order and none twice, was refused, paid exactly once, lasted")


if __name__ == "__main__":
    main()
