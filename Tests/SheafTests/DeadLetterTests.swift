import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@Suite("Dead letters") struct DeadLetterTests {
    /// Publishes a message to a batch's queue and rejects it until it is dead-lettered.
    private func kill(_ message: Message, in batch: CreatedBatch, _ client: SheafClient) async throws {
        let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
        try await client.broker.publish(message, to: queue)
        try await refuse(in: batch, client)
    }

    private func refuse(in batch: CreatedBatch, _ client: SheafClient) async throws {
        let tasks = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
        for queue in [tasks, client.names.suspects(flow: batch.flow)] {
            try await until("a message in \(queue)") {
                guard let delivery = try await client.broker.get(queue) else { return false }
                try await client.broker.settle(delivery, as: .rejected)
                return true
            }
        }
    }

    private let junk = Message(
        id: "j",
        type: "junk",
        headers: [.init("n", .integer(7)), .init("x-own", .string("kept"))],
        body: Array("\u{1B}[2Jbody".utf8)
    )

    @Test("An unreadable message is listed and can be requeued", arguments: BrokerKind.allCases)
    func whatNobodyCanReadIsListedAndGoesBackToItsQueue(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                try await client.runByHand(batch)
                #expect(try await client.deadLetters().isEmpty)
                try await kill(junk, in: batch, client)
                try await until("a dead letter") { try await client.deadLetters().count == 1 }
                let letter = try #require(try await client.deadLetters().first)
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                #expect(letter.reason == "rejected" && letter.queue == queue && letter.type == "junk")
                #expect(letter.size == junk.body.count && letter.preview == junk.body && letter.task == nil)
                let shown = try await client.deadLetter(at: letter.offset)
                #expect(shown.letter == letter && shown.message.body == junk.body)

                #expect(try await client.requeueDeadLetter(at: letter.offset).queue == queue)
                #expect(try await client.deadLetters().isEmpty)
                let delivery = try #require(try await client.broker.get(queue))
                var message = delivery.message
                message.headers.sort { $0.name < $1.name }  // their order is not significant
                #expect(message == junk)
                #expect(delivery.death == nil)
                try await client.broker.settle(delivery, as: .rejected)
            }
        }
    }

    @Test("A dead letter has the time at which it arrived or was first seen", arguments: BrokerKind.allCases)
    func eachSaysWhenItCame(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let log = client.names.dead
                let start = Timestamp.now
                try await client.broker.append(junk, to: log)
                // RabbitMQ's log has no times, and no aggregator has seen the dead letter yet.
                let unseen = try #require(try await client.deadLetters().first)
                #expect((unseen.at == nil) == (kind == .rabbitMQ))
                let flow = try FlowDefinition.work { _ in .value(1) }
                let working = Task { try await stage.work([flow]) { $0.untilEmpty = false } }
                try await until("its time") { try await client.deadLetters().first?.at != nil }
                let first = try #require(try await client.deadLetters().first)
                try await client.broker.append(junk, to: log)
                try await until("the time of the second") {
                    try await client.deadLetters().filter { $0.at != nil }.count == 2
                }
                working.cancel()
                _ = await working.result
                let letters = try await client.deadLetters()
                #expect(letters.count == 2 && letters.first == first)
                let times = letters.compactMap(\.at)
                // The embedded broker's clock agrees with the wall clock to a millisecond or two.
                let end = Timestamp.now + .milliseconds(5)
                #expect(times == times.sorted() && times.allSatisfy { $0 <= end && $0 + .milliseconds(5) >= start })
                for letter in letters { #expect(try await client.deadLetter(at: letter.offset).letter == letter) }
            }
        }
    }

    @Test("Dismissed dead letters leave the list and stay in the log", arguments: BrokerKind.allCases)
    func aPurgeTakesThemOffTheListAndKeepsThem(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                try await client.runByHand(batch)
                for _ in 0..<3 { try await kill(junk, in: batch, client) }
                try await until("three dead letters") { try await client.deadLetters().count == 3 }
                let last = try #require(try await client.deadLetters().last)
                #expect(try await client.dismissDeadLetters() == 3)
                #expect(try await client.deadLetters().isEmpty)
                #expect(try await client.dismissDeadLetters() == 0)
                #expect(try await client.deadLetter(at: last.offset).message.body == junk.body)
                try await kill(junk, in: batch, client)
                try await until("a new dead letter") { try await client.deadLetters().count == 1 }
                let results = try await client.requeueDeadLetters()
                #expect(results.count == 1 && results.allSatisfy { $0.refusal == nil })
                #expect(try await client.deadLetters().isEmpty)
            }
        }
    }

    @Test("A dead letter that cannot be requeued has a reason", arguments: BrokerKind.allCases)
    func whatCanNotGoBackSaysWhy(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(2))
                let names = client.names
                let home = names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let record = Record(id: "r", kind: .json, bytes: Array("{}".utf8))
                let task = BatchTask(flow: batch.flow, batch: batch.id, index: 1, record: record).message
                func died(_ message: Message, _ reason: String, in queue: String) -> Message {
                    var message = message
                    message.headers.append(.init(DeathHeaders.reason, .string(reason)))
                    message.headers.append(.init(DeathHeaders.queue, .string(queue)))
                    return message
                }
                let letters = [
                    died(task, "delivery_limit", in: home), died(task, "rejected", in: home + "9"),
                    died(task, "rejected", in: names.journal), task,
                ]
                try await client.broker.append(letters, to: names.dead)
                let listed = try await client.deadLetters()
                #expect(listed.map(\.task) == Array(repeating: "\(batch.id):1", count: 4))
                let words = ["has failed", "no longer exists", "is not a task queue", "its original queue is unknown"]
                let advice: [Advice?] = [
                    .retryTask(batch.id, index: 1), .showDeadLetter(listed[1].offset), nil, nil,
                ]
                for (place, letter) in listed.enumerated() {
                    let error = await #expect(throws: SheafError.self) {
                        try await client.requeueDeadLetter(at: letter.offset)
                    }
                    #expect(error?.message.contains(words[place]) == true, "\(error?.message ?? "")")
                    #expect(error?.advice == advice[place])
                }
                #expect(try await client.requeueDeadLetters().allSatisfy { $0.refusal != nil })
                #expect(try await client.deadLetters() == listed)
                let missing = await #expect(throws: SheafError.self) { try await client.requeueDeadLetter(at: 9999) }
                #expect(missing?.code == .notFound)
            }
        }
    }
}
