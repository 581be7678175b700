// What kafkajs's users do with it, through the gateway. Ends with a line that says what was done.
const assert = require('node:assert')
const { setTimeout: sleep } = require('node:timers/promises')
const { CompressionTypes, Kafka, logLevel } = require('kafkajs')
const settings = require('./gateway')

const prefix = process.env.PREFIX
const [orders, lasting, paid, readers] = ['orders', 'lasting', 'paid', 'readers'].map(name => prefix + name)
const keys = 50
// Only what ends a client: that a topic is refused is asked for below.
const kafka = new Kafka({ ...settings, logLevel: logLevel.NOTHING })

const messages = (first, count) =>
  Array.from({ length: count }, (_, at) => ({ key: `key-${(first + at) % keys}`, value: `${first + at}` }))

/** Reads so many records of a topic as the group, commits them, and looks whether there are more. */
async function consume(topic, first, count) {
  const consumer = kafka.consumer({ groupId: readers })
  const last = new Map()
  const seen = new Set()
  let failure
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) failure = payload.error
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const key = message.key.toString()
      const number = Number(message.value)
      if ((last.get(key) ?? -1) >= number) failure = new Error(`${key} has ${number} after ${last.get(key)}`)
      last.set(key, number)
      seen.add(number)
    },
  })
  const deadline = Date.now() + 60000
  while (seen.size < count && !failure) {
    assert(Date.now() < deadline, `${seen.size} of ${count} records after a minute`)
    await sleep(50)
  }
  await sleep(500)
  // Commits what was read.
  await consumer.disconnect()
  if (failure) throw failure
  assert.deepStrictEqual([...seen].sort((a, b) => a - b), messages(first, count).map(({ value }) => Number(value)))
}

/** Commits one transaction and aborts another, for a reader that sees only the first. */
async function transact() {
  const producer = kafka.producer({ transactionalId: `${prefix}payments`, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  const committed = await producer.transaction()
  await committed.send({ topic: paid, messages: messages(0, 10) })
  await committed.commit()
  const aborted = await producer.transaction()
  await aborted.send({ topic: paid, messages: messages(10, 10) })
  await aborted.abort()
  await producer.disconnect()
  await consume(paid, 0, 10)
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [
      { topic: orders, numPartitions: 3 },
      { topic: lasting, numPartitions: 1 },
      { topic: paid, numPartitions: 1 },
    ],
    // Else it asks for them at once, and takes a broker's "not yet" for an error.
    waitForLeaders: false,
  })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.send({ topic: orders, compression: CompressionTypes.GZIP, messages: messages(0, 1000) })
  await consume(orders, 0, 1000)
  await producer.send({ topic: orders, messages: messages(1000, 10) })
  await consume(orders, 1000, 10)

  const stranger = kafka.producer({ retry: { retries: 1 } })
  await stranger.connect()
  await assert.rejects(stranger.send({ topic: process.env.CLOSED, messages: messages(0, 1) }), error => {
    const type = error.type ?? error.cause?.type
    assert.strictEqual(type, 'TOPIC_AUTHORIZATION_FAILED', error.stack)
    return true
  })
  await stranger.disconnect()
  const topics = await admin.listTopics()
  const groups = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  assert(topics.includes(orders) && groups.includes(readers), `listed ${topics} and ${groups}`)
  for (const name of [...topics, ...groups]) assert(name.startsWith(prefix), `listed ${name}`)
  await transact()

  // Longer than a token is good for.
  let written = 0
  for (const end = Date.now() + 15000; Date.now() < end; written++) {
    await producer.send({ topic: lasting, messages: messages(written, 1) })
    await sleep(100)
  }
  await consume(lasting, 0, written)
  await producer.disconnect()
  await admin.disconnect()
  console.log(
    `done: created, wrote 1000 (idempotent, gzip), read in order and none twice, was refused, committed and aborted, lasted`
  )
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
