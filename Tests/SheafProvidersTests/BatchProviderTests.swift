import SheafCore
import SheafFlows
import SheafTestTools
import Synchronization
import Testing

@testable import SheafProviders

/// What every ``BatchProvider`` must do, with a server that answers as its provider does.
@Suite("Batch providers", .timeLimit(.minutes(2))) struct BatchProviderTests {
    private static let key = "sheafkey"

    /// Runs the body with a client, and closes its connections.
    private func with(
        _ options: JSONValue = [:],
        key: String = BatchServer.key,
        _ body: @escaping @Sendable (OpenAIBatches, BatchServer) async throws -> Void
    ) async throws {
        try await BatchServer.with(options) { server in
            let provider = try SubmissionBench(server).provider(key: key)
            do {
                try await body(provider, server)
                await provider.shutDown()
            } catch {
                await provider.shutDown()
                throw error
            }
        }
    }

    private static func upload(_ provider: OpenAIBatches, _ indices: Range<Int>) async throws -> UploadedFile {
        let file = try SpoolFile()
        var writer = SpoolFile.Writer(file)
        for index in indices {
            let line = try provider.encode(SubmissionBench.task(index), id: SubmissionMemo.requestID(key, index))
            try writer.add(line.bytes)
        }
        try writer.flush()
        return try await provider.upload(file, size: writer.size, key: key)
    }

    private static func end(_ provider: OpenAIBatches, _ id: String) async throws -> SubmissionState {
        while true {
            let state = try await provider.poll(id)
            if state.phase != .running { return state }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func failure(_ body: () async throws -> Void) async -> ProviderFailure? {
        await #expect(throws: ProviderFailure.self) { try await body() }
    }

    @Test("A submission runs all requests, and its results are joined by id") func results() async throws {
        try await with(["plain": true]) { provider, _ in
            let file = try await Self.upload(provider, 0..<300)
            let created = try await provider.create(file, key: Self.key, batch: "b")
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
            #expect(ids.compactMap { SubmissionMemo.index(of: $0, Self.key) } != Array(0..<300), "the order is another")
        }
    }

    @Test("Errors and results of one submission are read from both of its files") func bothFiles() async throws {
        try await with { provider, _ in
            let file = try await Self.upload(provider, 0..<20)
            let state = try await Self.end(provider, provider.create(file, key: Self.key, batch: "b").id)
            #expect(state.files.count == 2)
            var statuses: [Int: Int] = [:]
            _ = try await provider.read(state) { row in
                if case .answer(let status, _) = row.content { statuses[status, default: 0] += 1 }
            }
            // 3 is refused, 7 fails the first time, 11 has no result.
            #expect(statuses == [200: 17, 400: 1, 500: 1])
        }
    }

    @Test("A submission in which every request fails has results all the same") func onlyErrors() async throws {
        try await with { provider, _ in
            let file = try await Self.upload(provider, 3..<4)
            let state = try await Self.end(provider, provider.create(file, key: Self.key, batch: "b").id)
            #expect(state.phase == .ended && state.files.count == 1)
            #expect(try await provider.read(state) { _ in }.rows == 1)
        }
    }

    @Test("A submission whose creation got no answer is found by its key, on any page") func lostCreation() async throws
    {
        try await with(["lose_create": 1, "plain": true]) { provider, server in
            let file = try await Self.upload(provider, 0..<2)
            #expect(try await provider.find(key: Self.key, file: file).isEmpty)
            let failure = await Self.failure {
                _ = try await provider.create(file, key: Self.key, batch: "b")
            }
            guard case .unclear = failure else {
                Issue.record("\(String(describing: failure))")
                return
            }
            for number in 0..<120 { _ = try await provider.create(file, key: "other\(number)", batch: "b") }
            let found = try await provider.find(key: Self.key, file: file)
            #expect(found.map(\.id) == ["batch_0000"])
            #expect(try await server.count("creates") == 121)
        }
    }

    @Test("What is known about a failed call decides what may be repeated") func failures() async throws {
        try await with(["throttle": 1, "quota_400": 1, "junk": ["create": 1, "list": 1, "upload": 1]]) { provider, _ in
            let create: () async throws -> Void = {
                let file = UploadedFile(id: "file-0000", createdAt: 0)
                _ = try await provider.create(file, key: Self.key, batch: "b")
            }
            let message = "POST \(provider.address)/batches answered 429 Too Many Requests: too many batches"
            let throttle = FlowThrottle(delay: .seconds(1), message: message)
            #expect(await Self.failure(create) == .later(throttle))
            guard case .later = await Self.failure(create) else {
                Issue.record("400 over the quota")
                return
            }
            guard case .unclear(let error) = await Self.failure(create) else {
                Issue.record("HTML")
                return
            }
            #expect(error.message.hasSuffix("/batches answered 200 with a body that is not JSON"))
            let list = await Self.failure {
                _ = try await provider.find(key: Self.key, file: UploadedFile(id: "f", createdAt: 0))
            }
            guard case .unclear = list else {
                Issue.record("HTML as a list")
                return
            }
            let upload = await Self.failure { _ = try await Self.upload(provider, 0..<1) }
            guard case .unclear = upload else {
                Issue.record("HTML as a file")
                return
            }
            guard case .absent = await Self.failure({ _ = try await provider.poll("batch_9999") }) else {
                Issue.record("an unknown submission")
                return
            }
        }
    }

    @Test("A wrong key is refused, and no message shows it") func wrongKey() async throws {
        try await with(key: "sk-wrong") { provider, _ in
            let failure = await Self.failure { _ = try await Self.upload(provider, 0..<1) }
            guard case .refused(let error) = failure else {
                Issue.record("\(String(describing: failure))")
                return
            }
            #expect(error.type == "http-401" && !error.message.contains("sk-wrong") && error.message.contains("***"))
        }
    }

    @Test("A submission can be cancelled, and requests that did not run say so") func cancelling() async throws {
        try await with(["hold": true]) { provider, _ in
            let file = try await Self.upload(provider, 0..<4)
            let id = try await provider.create(file, key: Self.key, batch: "b").id
            try await provider.cancel(id)
            let state = try await Self.end(provider, id)
            var contents: [BatchRow.Content] = []
            _ = try await provider.read(state) { contents.append($0.content) }
            #expect(state.phase == .ended && contents == Array(repeating: .notRun, count: 4))
        }
    }

    @Test("Uploaded requests can be deleted") func removing() async throws {
        try await with { provider, server in
            let file = try await Self.upload(provider, 0..<1)
            #expect(try await server.count("files") == 1)
            try await provider.remove(file)
            #expect(try await server.count("files") == 0)
        }
    }

    @Test("Results on another host are fetched without the key") func otherHost() async throws {
        try await BatchServer.with { other in
            try await with(["plain": true]) { provider, server in
                let file = try await Self.upload(provider, 0..<2)
                let state = try await Self.end(provider, provider.create(file, key: Self.key, batch: "b").id)
                try await server.set(["redirect": .string(other.url)])
                let failure = await Self.failure { _ = try await provider.read(state) { _ in } }
                guard case .absent = failure else {
                    Issue.record("\(String(describing: failure))")
                    return
                }
                #expect(try await other.log()["strangers"] == [.null], "the other host was given no key")
                // A private address that the configuration does not name is not asked at all.
                let port = other.url.split(separator: ":").last ?? ""
                try await server.set(["redirect": .string("http://localhost:\(port)")])
                _ = await #expect(throws: (any Error).self) { try await provider.read(state) { _ in } }
                #expect(try await other.log()["strangers"] == [.null])
            }
        }
    }
}
