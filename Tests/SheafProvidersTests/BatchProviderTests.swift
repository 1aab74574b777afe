import SheafCore
import SheafFlows
import SheafTestTools
import Testing

@testable import SheafProviders

/// What every ``BatchProvider`` must do, with a server that answers as its provider does.
@Suite("Batch providers", .timeLimit(.minutes(2))) struct BatchProviderTests {
    private static let key = "sheafkey"

    /// Runs the body with a client, and closes its connections.
    private func with(
        _ kind: ProviderKind,
        _ options: JSONValue = [:],
        key: String = BatchServer.key,
        _ body: @escaping @Sendable (any BatchProvider, BatchServer) async throws -> Void
    ) async throws {
        try await BatchServer.with(options) { server in
            let provider = kind.client(try kind.chat(server, key: key, model: "m"))
            do {
                try await body(provider, server)
                await provider.shutDown()
            } catch {
                await provider.shutDown()
                throw error
            }
        }
    }

    /// Submits tasks.
    private static func submit(
        _ provider: any BatchProvider,
        _ indices: Range<Int>,
        key: String = Self.key
    ) async throws -> (state: SubmissionState, preparation: Preparation) {
        let (requests, preparation) = try await prepare(provider, indices, key: key)
        return (try await provider.create(preparation, requests, key: key, batch: "b"), preparation)
    }

    private static func prepare(
        _ provider: any BatchProvider,
        _ indices: Range<Int>,
        key: String = Self.key
    ) async throws -> (BatchRequests, Preparation) {
        let file = try SpoolFile()
        var writer = SpoolFile.Writer(file)
        for index in indices {
            let line = try provider.encode(SubmissionBench.task(index), id: SubmissionMemo.requestID(key, index))
            try writer.add(line.bytes)
        }
        try writer.flush()
        let requests = BatchRequests(spool: file, size: writer.size, count: writer.lines, model: "m")
        return (requests, try await provider.prepare(requests, key: key))
    }

    private static func end(_ provider: any BatchProvider, _ id: String) async throws -> SubmissionState {
        while true {
            let state = try await provider.poll(id)
            if state.phase != .running { return state }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func failure(_ body: () async throws -> Void) async -> ProviderFailure? {
        await #expect(throws: ProviderFailure.self) { try await body() }
    }

    @Test("A submission runs all requests, and its results are joined by id", arguments: ProviderKind.allCases)
    func results(kind: ProviderKind) async throws {
        try await with(kind, ["plain": true]) { provider, _ in
            let created = try await Self.submit(provider, 0..<300).state
            #expect(created.phase == .running)
            let state = try await Self.end(provider, created.id)
            #expect(state.phase == .ended && state.counted == 300)
            var ids: [String] = []
            let counts = try await provider.read(state) { row in
                ids.append(row.id)
                guard let index = SubmissionMemo.index(of: row.id, Self.key) else { return }
                guard case .success(let output) = provider.result(of: row, for: SubmissionBench.task(index)) else {
                    Issue.record("\(row)")
                    return
                }
                #expect(output.usage["input_tokens"] == index + 1)
            }
            #expect(counts.rows == 300 && counts.damaged == 0)
            #expect(Set(ids).count == 300)
            let order = ids.compactMap { SubmissionMemo.index(of: $0, Self.key) }
            #expect((order == Array(0..<300)) == kind.keepsOrder, "the order is another")
        }
    }

    @Test("Errors and results of one submission are read", arguments: ProviderKind.allCases)
    func errors(kind: ProviderKind) async throws {
        try await with(kind) { provider, _ in
            let state = try await Self.end(provider, Self.submit(provider, 0..<20).state.id)
            var statuses: [Int: Int] = [:]
            _ = try await provider.read(state) { row in
                if case .answer(let status, _) = row.content { statuses[status, default: 0] += 1 }
            }
            // 3 is refused, 7 fails the first time, 11 has no result.
            #expect(statuses == [200: 17, 400: 1, 500: 1])
        }
    }

    @Test("A submission in which every request fails has results all the same", arguments: ProviderKind.allCases)
    func onlyErrors(kind: ProviderKind) async throws {
        try await with(kind) { provider, _ in
            let state = try await Self.end(provider, Self.submit(provider, 3..<4).state.id)
            #expect(state.phase == .ended && state.files.count == 1)
            #expect(try await provider.read(state) { _ in }.rows == 1)
        }
    }

    @Test(
        "A submission whose creation got no answer is found, on any page and whatever the provider's clock is",
        arguments: ProviderKind.allCases
    ) func lostCreation(kind: ProviderKind) async throws {
        try await with(kind, ["lose_create": 1, "plain": true, "clock": 86_400]) { provider, server in
            let (requests, preparation) = try await Self.prepare(provider, 0..<2)
            #expect(try await provider.find(preparation, key: Self.key, requests: 2) == SubmissionMatches())
            let failure = await Self.failure {
                _ = try await provider.create(preparation, requests, key: Self.key, batch: "b")
            }
            guard case .unclear = failure else {
                Issue.record("\(String(describing: failure))")
                return
            }
            var last = ""
            for number in 0..<120 { last = try await Self.submit(provider, 0..<2, key: "other\(number)").state.id }
            _ = try await Self.end(provider, last)
            let found = try await provider.find(preparation, key: Self.key, requests: 2)
            #expect(found.certain.map(\.id) == ["\(kind.prefix)0000"] && found.possible.isEmpty)
            #expect(try await server.count("creates") == 121)
        }
    }

    @Test("What is known about a failed call decides what may be repeated", arguments: ProviderKind.allCases)
    func failures(kind: ProviderKind) async throws {
        let faults: JSONValue = [
            "throttle": 1, "quota_400": 1, "junk": ["create": 1, "list": 1, "upload": 1], "errors": ["create": 1],
        ]
        try await with(kind) { provider, server in
            let (requests, preparation) = try await Self.prepare(provider, 0..<1)
            try await server.set(faults)
            let create: () async throws -> Void = {
                _ = try await provider.create(preparation, requests, key: Self.key, batch: "b")
            }
            guard case .later(let throttle) = await Self.failure(create) else {
                Issue.record("429")
                return
            }
            #expect(throttle.delay == .seconds(1))
            #expect(throttle.message.hasSuffix(" answered 429 Too Many Requests: too many batches"))
            guard case .later = await Self.failure(create) else {
                Issue.record("400 over the quota")
                return
            }
            guard case .unclear(let html) = await Self.failure(create) else {
                Issue.record("HTML")
                return
            }
            #expect(html.message.hasSuffix(" answered 200 with a body that is not JSON"))
            guard case .unclear(let inside) = await Self.failure(create) else {
                Issue.record("an error inside")
                return
            }
            #expect(inside.message.hasSuffix(": something went wrong"))
            let list = await Self.failure {
                _ = try await provider.find(preparation, key: Self.key, requests: 1)
            }
            guard case .unclear = list else {
                Issue.record("HTML as a list")
                return
            }
            if kind.hasFiles {
                guard case .unclear = await Self.failure({ _ = try await Self.prepare(provider, 0..<1) }) else {
                    Issue.record("HTML as a file")
                    return
                }
            }
            guard case .absent = await Self.failure({ _ = try await provider.poll("\(kind.prefix)9999") }) else {
                Issue.record("an unknown submission")
                return
            }
        }
    }

    @Test("A wrong key lets all tasks wait for people, and no message shows it", arguments: ProviderKind.allCases)
    func wrongKey(kind: ProviderKind) async throws {
        try await with(kind, key: "sk-wrong") { provider, _ in
            let failure = await Self.failure { _ = try await Self.submit(provider, 0..<1) }
            guard case .later(let throttle) = failure else {
                Issue.record("\(String(describing: failure))")
                return
            }
            #expect(throttle.needsPeople && throttle.message.contains("answered \(kind.wrongKey)"))
            #expect(!throttle.message.contains("sk-wrong") && throttle.message.contains("***"))
        }
    }

    @Test("Without a connection nothing was done, so nothing is unclear", arguments: ProviderKind.allCases)
    func noConnection(kind: ProviderKind) async throws {
        let gone = BatchServer(url: "http://127.0.0.1:1")
        let provider = kind.client(try kind.chat(gone, key: "k", model: "m"))
        let failure = await Self.failure { _ = try await Self.submit(provider, 0..<1) }
        guard case .later(let throttle) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(throttle.message.contains("Connection refused") && !throttle.needsPeople)
        await provider.shutDown()
    }

    @Test("A submission can be cancelled, and requests that did not run say so", arguments: ProviderKind.allCases)
    func cancelling(kind: ProviderKind) async throws {
        try await with(kind, ["hold": true]) { provider, _ in
            let id = try await Self.submit(provider, 0..<4).state.id
            try await provider.cancel(id)
            let state = try await Self.end(provider, id)
            var contents: [BatchRow.Content] = []
            _ = try await provider.read(state) { contents.append($0.content) }
            #expect(state.phase == .ended && contents == Array(repeating: .notRun, count: kind.reportsUnrun ? 4 : 0))
        }
    }

    @Test("A cancelled submission may complete all the same", arguments: ProviderKind.allCases)
    func cancellingTooLate(kind: ProviderKind) async throws {
        try await with(kind, ["hold": true, "cancel_completes": true, "plain": true]) { provider, _ in
            let id = try await Self.submit(provider, 0..<4).state.id
            try await provider.cancel(id)
            let state = try await Self.end(provider, id)
            var answers = 0
            _ = try await provider.read(state) { row in
                if case .answer(200, _) = row.content { answers += 1 }
            }
            #expect(state.phase == .ended && answers == 4)
        }
    }

    @Test("An unknown state is that of a running submission", arguments: ProviderKind.allCases)
    func unknownState(kind: ProviderKind) async throws {
        try await with(kind, ["hold": true, "unknown_state": true, "retry_after": 7]) { provider, _ in
            let id = try await Self.submit(provider, 0..<1).state.id
            let state = try await provider.poll(id)
            #expect(state.phase == .running && state.retryAfter == .seconds(7))
        }
    }

    @Test("Uploaded requests can be deleted", arguments: ProviderKind.allCases.filter(\.hasFiles))
    func removing(kind: ProviderKind) async throws {
        try await with(kind) { provider, server in
            let preparation = try await Self.prepare(provider, 0..<1).1
            #expect(try await server.count("files") == 1)
            try await provider.remove(preparation)
            #expect(try await server.count("files") == 0)
        }
    }

    @Test("Results on another host are fetched without the key", arguments: ProviderKind.allCases)
    func otherHost(kind: ProviderKind) async throws {
        try await with(kind, ["plain": true]) { provider, server in
            let elsewhere = try #require(try await server.log()["elsewhere"]?.stringValue)
            try await server.set(["redirect": .string(elsewhere)])
            let state = try await Self.end(provider, Self.submit(provider, 0..<2).state.id)
            #expect(try await provider.read(state) { _ in }.rows == 2)
            let strangers = try #require(try await server.log()["strangers"]?.arrayValue)
            #expect(!strangers.isEmpty && strangers.allSatisfy { $0 == .null }, "the other host was given no key")
            // A private address that the configuration does not name is not asked at all.
            try await server.set(["redirect": .string(elsewhere.replacing("127.0.0.1", with: "localhost"))])
            let moved = try await provider.poll(state.id)
            _ = await #expect(throws: (any Error).self) { try await provider.read(moved) { _ in } }
            #expect(try await server.log()["strangers"]?.arrayValue == strangers)
        }
    }
}
