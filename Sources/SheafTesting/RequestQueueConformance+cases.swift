import SheafCore
import SheafDispatch
import SheafSources

extension RequestQueueConformance {
    static let adding: [RequestQueueConformanceCase] = [
        RequestQueueConformanceCase("Requests keep their order, ids, kinds and bytes.") { scene in
            let queue = try await scene.queue()
            let requests = [
                Record(id: "a", kind: .json, bytes: Array(#"{"x": "é\n"}"#.utf8)),
                Record(id: "b b", kind: .text, bytes: Array("plain".utf8)),
                Record(id: "ü", kind: .binary, bytes: [0, 255, 10]),
            ]
            try await queue.add(requests)
            try await queue.add(numberedRequests(0..<1200))
            let group = try require(try await scene.claim(queue, threshold: 1203), "the group")
            let items = try await scene.items(queue, group)
            try expectEqual(items.map(\.place), (requests + numberedRequests(0..<1200)).map(\.id), "ids")
            try expectEqual(
                items.map(\.content),
                (requests + numberedRequests(0..<1200)).map { .record($0) },
                "requests"
            )
        },
        RequestQueueConformanceCase("Number, size and age of what waits are exact.") { scene in
            let queue = try await scene.queue()
            try expectEqual(try await queue.waiting(), WaitingRequests(), "an empty queue")
            try await queue.add(numberedRequests(0..<3))
            scene.pass(.seconds(5))
            try await queue.add(numberedRequests(3..<5))
            let all = WaitingRequests(count: 5, bytes: 5 * 7, oldest: RequestQueueScene.start)
            try expectEqual(try await queue.waiting(), all, "what waits")
            let group = try require(try await scene.claim(queue, threshold: 3), "the group")
            try await queue.finish(group)
            let rest = WaitingRequests(count: 2, bytes: 2 * 7, oldest: RequestQueueScene.start + .seconds(5))
            try expectEqual(try await queue.waiting(), rest, "what waits after the first group")
        },
        RequestQueueConformanceCase("Three senders at once lose nothing and repeat nothing.") { scene in
            let queue = try await scene.queue()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<3 {
                    let own = try await scene.queue()
                    group.addTask {
                        for part in 0..<10 {
                            let first = sender * 1000 + part * 100
                            try await own.add(numberedRequests(first..<first + 100))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let ids = try await scene.drain(queue, threshold: 700).flatMap { $0.items.map(\.place) }
            try expectEqual(ids.sorted(), numberedRequests(0..<3000).map(\.id).sorted(), "ids")
        },
        RequestQueueConformanceCase("Requests without an id, with a long one, or too large are refused.") { scene in
            let queue = try await scene.queue()
            let good = numberedRequests(0..<1)[0]
            let bad = [
                Record(id: "", kind: .json, bytes: [0x31]),
                Record(id: String(repeating: "x", count: 256), kind: .json, bytes: [0x31]),
                Record(id: "large", kind: .json, bytes: Array(repeating: 0x31, count: Record.maximumSize + 1)),
            ]
            for request in bad {
                do {
                    try await queue.add([good, request])
                    try expect(false, "the request '\(request.id.prefix(10))' was accepted")
                } catch let error as RequestQueueError {
                    try expectEqual(error.code, .invalid, "error")
                }
            }
            try expectEqual(try await queue.waiting().count, 0, "what waits")
            let longest = Record(
                id: String(repeating: "x", count: 255),
                kind: .json,
                bytes: Array(repeating: 0x31, count: Record.maximumSize)
            )
            try await queue.add([longest])
            try expectEqual(try await scene.drain(queue).first?.items.map(\.content), [.record(longest)], "request")
        },
        RequestQueueConformanceCase("More than the allowed number of requests is refused as a whole.", maxWaiting: 10) {
            scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<8))
            do {
                try await queue.add(numberedRequests(8..<11))
                try expect(false, "three more requests were accepted")
            } catch let error as RequestQueueError {
                try expectEqual(error.code, .full, "error")
            }
            try await queue.add(numberedRequests(8..<10))
            try expectEqual(try await queue.waiting().count, 10, "what waits")
            try expectEqual(try await scene.drain(queue, threshold: 10).map(\.group.count), [10], "groups")
            try await queue.add(numberedRequests(10..<20))
        },
        RequestQueueConformanceCase("An addition is notified.") { scene in
            let (queue, other) = (try await scene.queue(), try await scene.queue())
            try expect(try await scene.claim(queue, threshold: 1) == nil, "the queue is empty")
            var changes = await queue.changes().makeAsyncIterator()
            _ = await changes.next()
            try await other.add(numberedRequests(0..<1))
            while try await queue.claim(DispatchRules(queueThreshold: 1), at: scene.now) == nil {
                try expect(await changes.next() != nil, "the notifications have ended")
            }
        },
    ]

    static let claiming: [RequestQueueConformanceCase] = [
        RequestQueueConformanceCase("A group has as many requests as the threshold; the rest waits.") { scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<25))
            var groups: [RequestGroup] = []
            while let group = try await scene.claim(queue, threshold: 10) {
                groups.append(group)
                let first = (groups.count - 1) * 10
                let ids = numberedRequests(first..<first + 10).map(\.id)
                try expectEqual(try await scene.items(queue, group).map(\.place), ids, "ids")
                try await queue.finish(group)
            }
            try expectEqual(groups.map(\.count), [10, 10], "groups")
            try expectEqual(Set(groups.map(\.batch)).count, 2, "ids of batches")
            try expectEqual(try await queue.waiting().count, 5, "what waits")
        },
        RequestQueueConformanceCase("A threshold of one makes a group of each request.") { scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<5))
            let groups = try await scene.drain(queue, threshold: 1, age: .seconds(3600))
            try expectEqual(groups.flatMap { $0.items.map(\.place) }, ["r0", "r1", "r2", "r3", "r4"], "ids")
            try expectEqual(groups.map(\.group.count), [1, 1, 1, 1, 1], "groups")
        },
        RequestQueueConformanceCase("A group is due when its oldest request is old enough, and not before.") { scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<2))
            scene.pass(.seconds(59))
            try await queue.add(numberedRequests(2..<3))
            try expect(try await scene.claim(queue, age: .seconds(60)) == nil, "no request is 60 s old")
            scene.pass(.seconds(1))
            let group = try require(try await scene.claim(queue, age: .seconds(60)), "the group")
            try expectEqual(group.count, 3, "the group takes the younger request along")
            try await queue.finish(group)
            try await queue.add(numberedRequests(3..<4))
            try expect(try await scene.claim(queue, age: .seconds(60)) == nil, "a new request is young")
            try expectEqual(try await scene.claim(queue, age: .zero)?.count, 1, "age 0 is always due")
        },
        RequestQueueConformanceCase("A group has no more bytes than allowed, unless one request has.") { scene in
            let queue = try await scene.queue()
            // 7 bytes each, and one of 30.
            try await queue.add(numberedRequests(0..<4))
            try await queue.add([Record(id: "big", kind: .json, bytes: Array(repeating: 0x31, count: 30))])
            try await queue.add(numberedRequests(4..<5))
            var groups: [[String]] = []
            while let group = try await scene.claim(queue, bytes: 20, age: .zero) {
                groups.append(try await scene.items(queue, group).map(\.place))
                try await queue.finish(group)
            }
            try expectEqual(groups, [["r0", "r1"], ["r2", "r3"], ["big"], ["r4"]], "groups")
        },
        RequestQueueConformanceCase("A flush makes what waits due, and nothing that comes later.") { scene in
            let queue = try await scene.queue()
            try await queue.flush()
            try await queue.add(numberedRequests(0..<3))
            try expect(try await scene.claim(queue) == nil, "nothing is due")
            try await queue.flush()
            let group = try require(try await scene.claim(queue), "the group")
            try expectEqual(group.count, 3, "requests")
            try await queue.finish(group)
            try await queue.add(numberedRequests(3..<5))
            try expect(try await scene.claim(queue) == nil, "nothing is due after the flush")
        },
        RequestQueueConformanceCase("Requests with different keys never share a group.", key: "tenant") { scene in
            let queue = try await scene.queue()
            let bodies = [
                #"{"tenant":"a","n":0}"#, #"{"tenant":"b","n":1}"#, #"{"tenant":"a","n":2}"#, #"{"tenant":7,"n":3}"#,
                #"{"tenant":"b","n":4}"#, #"{"tenant":"a","n":5}"#, #"{"n":6}"#, "not json", #"{"tenant":null}"#, "[1]",
            ]
            try await queue.add(
                bodies.enumerated().map { Record(id: "r\($0)", kind: .json, bytes: Array($1.utf8)) }
            )
            let first = try require(try await scene.claim(queue, threshold: 3), "the group of a")
            try expectEqual(first.key, "a", "key")
            try expectEqual(try await scene.items(queue, first).map(\.place), ["r0", "r2", "r5"], "ids")
            try await queue.finish(first)
            let groups = try await scene.drain(queue)
            let ids = Dictionary(grouping: groups) { $0.group.key ?? "-" }.mapValues {
                $0.flatMap { $0.items.map(\.place) }
            }
            try expectEqual(ids, ["b": ["r1", "r4"], "7": ["r3"], "-": ["r6", "r7", "r8", "r9"]], "ids by key")
            for item in groups.flatMap(\.items) {
                let isRecord = if case .record = item.content { true } else { false }
                try expectEqual(isRecord, !["r6", "r7", "r8", "r9"].contains(item.place), "\(item.place) is a record")
            }
        },
    ]

    static let repeating: [RequestQueueConformanceCase] = [
        RequestQueueConformanceCase("A group that is not finished is claimed again, with the same requests.") { scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<30))
            let group = try require(
                try await scene.claim(queue, threshold: 20, arguments: ["temperature": 0]),
                "the group"
            )
            let items = try await scene.items(queue, group)
            try expectEqual(try await scene.claim(queue, threshold: 5), group, "the group claimed again")
            await queue.close()
            let other = try await scene.queue()
            try await other.add(numberedRequests(30..<40))
            // Other rules do not change a decision.
            let again = try require(try await scene.claim(other, threshold: 5), "the group after a restart")
            try expectEqual(again, group, "the group after a restart")
            try expectEqual(again.arguments, ["temperature": 0], "arguments")
            try expectEqual(try await scene.items(other, again), items, "requests")
            try expectEqual(try await scene.items(other, again, from: 13), Array(items[13...]), "the rest")
            try await other.finish(again)
            let rest = try await scene.drain(other).flatMap { $0.items.map(\.place) }
            try expectEqual(rest, numberedRequests(20..<40).map(\.id), "what was not in the group")
        },
        RequestQueueConformanceCase("A repeat of a request is dropped; other content with its id is an invalid item.") {
            scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<3))
            try await queue.add(numberedRequests(1..<4))
            let other = Record(id: "r0", kind: .json, bytes: Array(#"{"n":"other"}"#.utf8))
            try await queue.add([other])
            try expectEqual(try await queue.waiting().count, 5, "what waits")
            let groups = try await scene.drain(queue)
            let items = try require(groups.first, "the group").items
            try expectEqual(items.map(\.place), ["r0", "r1", "r2", "r3", "r0"], "ids")
            guard case .invalid(let message) = items[4].content else {
                return try expect(false, "the second r0 is a record")
            }
            try expect(message.contains("r0"), "the message names the id: \(message)")
            try await queue.add(numberedRequests(2..<5))
            let later = try await scene.drain(queue).flatMap { $0.items.map(\.place) }
            try expectEqual(later, ["r4"], "repeats of requests that are in a batch")
        },
        RequestQueueConformanceCase("After a restart, repeats are dropped as before.") { scene in
            let queue = try await scene.queue()
            try await queue.add(numberedRequests(0..<10))
            let first = try require(try await scene.claim(queue, threshold: 5), "the group")
            try await queue.finish(first)
            await queue.close()
            let other = try await scene.queue()
            try await other.add(numberedRequests(0..<12))
            try expectEqual(try await other.waiting().count, 7, "what waits")
            let ids = try await scene.drain(other).flatMap { $0.items.map(\.place) }
            try expectEqual(ids, numberedRequests(5..<12).map(\.id), "ids")
        },
    ]
}
