import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTestTools
import Testing

@testable import SheafProviders

/// How submissions wait for room at the provider, and how tasks stop waiting for submissions.
@Suite("Limits of submissions", .timeLimit(.minutes(2))) struct SubmissionLimitTests {
    /// The tokens of the request of a task, as they are estimated.
    private func tokens(_ bench: SubmissionBench) throws -> Int {
        let line = try bench.provider().encode(SubmissionBench.task(1), id: String(repeating: "x", count: 34))
        return TokenEstimate.most(line.bytes.count)
    }

    @Test("A submission has no more tokens than the provider accepts, and the rest follows in others")
    func splitting() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            try await bench.run(0..<9, recorder: records, tokens: try tokens(bench) * 4)
            #expect(bench.results.values.allSatisfy { $0[0].isSuccess } && bench.results.count == 9)
            #expect(records.all.map(\.requests).reduce(0, +) == 9)
            #expect(records.all.allSatisfy { (1...4).contains($0.requests) && $0.state == .ended })
            let log = try await server.log()
            #expect(log["creates"]?.intValue == records.all.count && log["paid_twice"] == 0)
        }
    }

    @Test("A request with more tokens than the provider accepts fails by itself") func tooLarge() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            try await bench.run(0..<2, tokens: 5)
            #expect(bench.error(0)?.type == "request-too-large")
            #expect(bench.error(0)?.message.contains("max_enqueued_tokens is 5") == true)
            #expect(try await server.count("creates") == 0)
        }
    }

    @Test("More bulks than one memo has room for return the rest to their queue") func manySubmissions() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            let quota = try tokens(bench) + 1
            try await bench.run(0..<40, tokens: quota)
            #expect(bench.end.returnsRest && bench.end.rest.count == 40 - SubmissionMemo.maximumEarlier)
            #expect(bench.results.count == SubmissionMemo.maximumEarlier)
            #expect(bench.results.values.allSatisfy { $0[0].isSuccess })
            #expect(try await server.count("creates") == SubmissionMemo.maximumEarlier)
        }
    }

    @Test("A submission waits until those before it have left enough room, and says so") func waiting() async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            let records = SubmissionRecords()
            let (first, second) = (SubmissionBench(server), SubmissionBench(server))
            let quota = try tokens(first) * 6
            async let one: Void = first.run(0..<4, recorder: records, tokens: quota)
            try await until("the first one runs") { records.all.first?.state == .running }
            async let two: Void = second.run(4..<8, recorder: records, tokens: quota)
            try await until("the second one waits") { records.all.last?.message.contains("waits for other") == true }
            #expect(records.all.last?.state == .uploading)
            #expect(try await server.count("creates") == 1)
            try await server.set(["hold": false])
            try await one
            try await two
            #expect(records.all.map(\.state) == [.ended, .ended] && records.all.last?.message == "")
            let log = try await server.log()
            #expect(log["creates"] == 2 && log["paid"] == 8 && log["paid_twice"] == 0)
        }
    }

    @Test("Tasks that have waited long enough leave their submission, whose results count", arguments: [false, true])
    func late(isComplete: Bool) async throws {
        try await BatchServer.with(["plain": true, "hold": true, "cancel_completes": .bool(isComplete)]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            try await bench.run(0..<5, recorder: records, liveAt: .now + .seconds(1))
            #expect(bench.end == (isComplete ? BulkEnd() : BulkEnd(rest: Array(0..<5), returnsRest: true)))
            #expect(bench.results.count == (isComplete ? 5 : 0))
            #expect(records.all.map(\.state) == [.ended])
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["cancels"] == 1 && log["paid"]?.intValue == (isComplete ? 5 : 0))
        }
    }

    @Test("Tasks that are late already are not submitted") func tooLate() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            try await bench.run(0..<5, liveAt: .now)
            #expect(bench.end == BulkEnd(rest: Array(0..<5), returnsRest: true) && bench.memos.isEmpty)
            #expect(try await server.count("uploads") == 0)
        }
    }
}
