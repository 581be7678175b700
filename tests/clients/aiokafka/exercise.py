"""What aiokafka's users do with it, through the gateway. Ends with a line that says what was done."""

import asyncio
import os
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError
from gateway import settings

PREFIX = os.environ["PREFIX"]
ORDERS, LASTING, PAID, READERS = (PREFIX + name for name in ("orders", "lasting", "paid", "readers"))
KEYS = 50


async def consume(topic, first, count):
    """Reads so many records of a topic as the group, commits them, and looks whether there are more."""
    consumer = AIOKafkaConsumer(
        topic,
        group_id=READERS,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        **settings(),
    )
    await consumer.start()
    records = []
    deadline = time.monotonic() + 60
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records after a minute"
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            records += batch
    for batch in (await consumer.getmany(timeout_ms=500)).values():
        records += batch
    await consumer.commit()
    await consumer.stop()
    last = {}
    for record in records:
        number = int(record.value)
        assert record.key == b"key-%d" % (number % KEYS), record
        assert last.get(record.key, -1) < number, f"{record.key} has {number} after {last[record.key]}"
        last[record.key] = number
    numbers = sorted(int(record.value) for record in records)
    assert numbers == list(range(first, first + count)), f"{len(numbers)} records, {len(set(numbers))} different"


async def produce(producer, topic, numbers):
    sent = [
        await producer.send(topic, key=b"key-%d" % (number % KEYS), value=b"%d" % number) for number in numbers
    ]
    await asyncio.gather(*sent)


async def transact():
    """Commits one transaction and aborts another, for a reader that sees only the first."""
    producer = AIOKafkaProducer(transactional_id=PREFIX + "payments", **settings())
    await producer.start()
    async with producer.transaction():
        await produce(producer, PAID, range(10))
    await producer.begin_transaction()
    await produce(producer, PAID, range(10, 20))
    await producer.abort_transaction()
    await producer.stop()
    await consume(PAID, 0, 10)


async def main():
    admin = AIOKafkaAdminClient(**settings())
    await admin.start()
    topics = ((ORDERS, 3), (LASTING, 1), (PAID, 1))
    await admin.create_topics([NewTopic(name, num_partitions=count, replication_factor=1) for name, count in topics])
    producer = AIOKafkaProducer(enable_idempotence=True, compression_type="gzip", **settings())
    await producer.start()
    await produce(producer, ORDERS, range(1000))
    await consume(ORDERS, 0, 1000)
    await produce(producer, ORDERS, range(1000, 1010))
    await consume(ORDERS, 1000, 10)

    try:
        await producer.send_and_wait(os.environ["CLOSED"], b"0")
        raise AssertionError("a topic without rights was written to")
    except TopicAuthorizationFailedError:
        pass
    topics = await admin.list_topics()
    groups = [group[0] for group in await admin.list_consumer_groups()]
    assert ORDERS in topics and READERS in groups, (topics, groups)
    assert all(name.startswith(PREFIX) for name in [*topics, *groups]), (topics, groups)
    await transact()

    # Longer than a token is good for.
    written = 0
    end = time.monotonic() + 15
    while time.monotonic() < end:
        await produce(producer, LASTING, [written])
        written += 1
        await asyncio.sleep(0.1)
    await consume(LASTING, 0, written)
    await producer.stop()
    await admin.close()
    print("done: created, wrote 1000 (idempotent, gzip), read in order and none twice, was refused, committed and aborted, lasted")


asyncio.run(main())
