import SheafBroker
import SheafCore

extension BrokerConformance {
    static let logs: [BrokerConformanceCase] = [
        BrokerConformanceCase("A log is read in order from its first entry, any number of times.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<600), to: log)
            try await broker.append(numbered(600..<1_000), to: log)
            let entries = try await broker.read(log, from: .first).read(1_000)
            try expectEqual(entries.map(\.message.id), ids(0..<1_000), "entries")
            let again = try await other.read(log, from: .first).read(1_000)
            try expectEqual(again, entries, "entries read again")
        },
        BrokerConformanceCase("Many concurrent appends all arrive, each call's entries in order.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<50 {
                    group.addTask { try await broker.append(numbered(writer * 4..<writer * 4 + 4), to: log) }
                }
                try await group.waitForAll()
            }
            let numbers = try await broker.read(log, from: .first).read(200).compactMap { Int($0.message.id) }
            try expectEqual(numbers.sorted(), Array(0..<200), "entries")
            for writer in 0..<50 {
                let own = numbers.filter { $0 / 4 == writer }
                try expectEqual(own, own.sorted(), "order of writer \(writer)")
            }
        },
        BrokerConformanceCase("Reading from an offset begins exactly there.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<100), to: log)
            let entries = try await broker.read(log, from: .first).read(100)
            for index in [0, 1, 57, 99] {
                let reader = try await broker.read(log, from: .offset(entries[index].offset))
                let rest = try await reader.read(100 - index)
                try expectEqual(rest, Array(entries[index...]), "entries from \(index)")
                await reader.cancel()
            }
        },
        BrokerConformanceCase("A reader continues with entries appended later, also by another connection.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let log = try await scene.log(on: broker)
            let readers = [try await broker.read(log, from: .first), try await other.read(log, from: .first)]
            for round in 0..<10 {
                try await other.append(numbered(round * 2..<round * 2 + 2), to: log)
                for reader in readers {
                    let entries = try await reader.read(2)
                    try expectEqual(entries.map(\.message.id), ids(round * 2..<round * 2 + 2), "entries")
                }
            }
        },
        BrokerConformanceCase("Reading from the last position includes the newest entry and later ones.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<30), to: log)
            let reader = try await broker.read(log, from: .last)
            let entries = try await reader.read(until: { $0.last?.message.id == "29" })
            try expectEqual(entries.map(\.message.id), ids(30 - entries.count..<30), "entries")
            try await broker.append(numbered(30..<31), to: log)
            let next = try await reader.read(1)
            try expectEqual(next.map(\.message.id), ["30"], "next entry")

            let empty = try await scene.log("empty", on: broker)
            let early = try await broker.read(empty, from: .last)
            try await broker.append(numbered(0..<1), to: empty)
            let first = try await early.read(1)
            try expectEqual(first.map(\.message.id), ["0"], "first entry")
        },
        BrokerConformanceCase("Reading from the next position skips existing entries.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<30), to: log)
            let reader = try await broker.read(log, from: .next)
            try await broker.append(numbered(30..<32), to: log)
            let entries = try await reader.read(2)
            try expectEqual(entries.map(\.message.id), ["30", "31"], "entries")
        },
        BrokerConformanceCase("Reading since a duration ago includes every younger entry.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<10), to: log)
            let entries = try await broker.read(log, from: .since(.seconds(3_600))).read(10)
            try expectEqual(entries.map(\.message.id), ids(0..<10), "entries")
        },
        BrokerConformanceCase("The end offset exceeds that of every confirmed entry and does not exceed the next one.")
        { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            let empty = try require(try await broker.endOffset(of: log), "end offset")
            try await broker.append(numbered(0..<25), to: log)
            let end = try require(try await broker.endOffset(of: log), "end offset")
            try await broker.append(numbered(25..<26), to: log)
            let entries = try await broker.read(log, from: .first).read(26)
            try expectEqual(entries.map(\.message.id), ids(0..<26), "entries")
            try expect(entries[0].offset >= empty, "the first entry is below the end of the empty log")
            try expect(entries[24].offset < end, "a confirmed entry is not below the end")
            try expect(entries[25].offset >= end, "a later entry is below the end")
            let rest = try await broker.read(log, from: .offset(end)).read(1)
            try expectEqual(rest.map(\.message.id), ["25"], "entries from the end offset")
        },
        BrokerConformanceCase("The next offset of a reader reaches an earlier end offset.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<120), to: log)
            let reader = try await broker.read(log, from: .first)
            for round in 0..<3 {
                let end = try require(try await broker.endOffset(of: log), "end offset")
                let read = try await withTimeout(.seconds(20), "reading to the end") {
                    var entries: [LogEntry] = []
                    while let chunk = try await reader.next() {
                        entries += chunk.entries
                        guard chunk.nextOffset < end else { break }
                    }
                    return entries
                }
                let expected = round == 0 ? 0..<120 : 119 + round..<120 + round
                try expectEqual(read.map(\.message.id), ids(expected), "entries up to the end")
                try await broker.append(numbered(120 + round..<121 + round), to: log)
            }
        },
        BrokerConformanceCase("A bounded log keeps its newest entry, whatever its size.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker, maximumBytes: 400_000)
            for round in 0..<40 {
                let message = Message(id: String(round), body: [UInt8](repeating: UInt8(round), count: 20_000))
                try await broker.append(message, to: log)
            }
            let reader = try await broker.read(log, from: .last)
            let entries = try await reader.read(until: { $0.last?.message.id == "39" })
            try expectEqual(entries.last?.message.body.count, 20_000, "size of the newest")
            let oldest = try await broker.read(log, from: .offset(0)).read(until: { $0.last?.message.id == "39" })
            try expectEqual(oldest.map(\.message.id), ids(40 - oldest.count..<40), "what is left")
        },
        BrokerConformanceCase("Deleting a log ends its readers.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let log = try await scene.log(on: broker)
            try await broker.append(numbered(0..<1), to: log)
            var calls: [Task<Void, any Error>] = []
            for reader in [try await broker.read(log, from: .first), try await other.read(log, from: .first)] {
                _ = try await reader.read(1)
                calls.append(Task { while let chunk = try await reader.next(), chunk.entries.isEmpty {} })
            }
            try await broker.deleteLog(log)
            for call in calls {
                try await expectError(.queueGone, "next() of a deleted log") { try await call.value }
            }
            try expectEqual(try await broker.endOffset(of: log), nil, "end offset")
            try await broker.deleteLog(log)
        },
        BrokerConformanceCase("Cancelling a reader or its task ends a waiting call of next().") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log(on: broker)
            let reader = try await broker.read(log, from: .first)
            let call = Task { try await reader.next() }
            await reader.cancel()
            try await withTimeout(.seconds(10), "next() after cancel()") {
                _ = try await call.value
                let after = try await reader.next()
                try expect(after == nil, "next() after cancel() returned something")
            }
            let second = try await broker.read(log, from: .first)
            let cancelled = Task { while let chunk = try await second.next(), chunk.entries.isEmpty {} }
            cancelled.cancel()
            let outcome = try await withTimeout(.seconds(10), "next() in a cancelled task") {
                await cancelled.result
            }
            if case .failure(let error) = outcome {
                try expect(error is CancellationError, "next() in a cancelled task threw \(error)")
            } else {
                throw BrokerConformanceFailure("next() in a cancelled task returned", file: #fileID, line: #line)
            }
        },
    ]
}
