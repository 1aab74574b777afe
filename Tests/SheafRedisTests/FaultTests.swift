import Foundation
import Logging
import Sheaf
import SheafBatches
import SheafCore
import SheafDispatch
import SheafTestSupport
import SheafTestTools
import Testing

@testable import SheafRedis

@Suite("Redis that fails")
struct RedisFaultTests {
    @Test("A wrong password, a missing one, and a key of another type are refused at once, without the password")
    func refused() async throws {
        try await RedisServer.with(["--requirepass", "right/one"]) { server in
            let place = "127.0.0.1:\(server.port)"
            func error(_ url: String, _ configuration: RedisRequestQueueConfiguration = .init()) async throws -> String
            {
                do {
                    let queue = try await RedisRequestQueue.open(
                        url: try RedisURL(url),
                        name: "reviews",
                        configuration: configuration
                    )
                    await queue.close()
                    return ""
                } catch let error as RequestQueueError {
                    #expect(error.code == .refused)
                    return error.message
                }
            }
            #expect(try await error("redis://:right%2Fone@\(place)/3") == "")
            let wrong = try await error("redis://:wr%21ng@\(place)/3")
            #expect(wrong.contains("redis://\(place)/3") && wrong.contains("WRONGPASS"), "\(wrong)")
            #expect(!wrong.contains("wr!ng") && !wrong.contains("wr%21ng"))
            #expect(try await error("redis://\(place)").contains("NOAUTH"))
            #expect(try await error("redis://:right%2Fone@\(place)/99").contains("out of range"))
            try await server.cli("-a", "right/one", "set", "reviews", "text")
            let type = try await error("redis://:right%2Fone@\(place)/0")
            #expect(type.contains("the key 'reviews'") && type.contains("holds a string, and not a list"), "\(type)")
        }
    }

    @Test("URLs are read, and never printed with their password")
    func urls() throws {
        let url = try RedisURL("rediss://ada:p%40ss@[::1]:7000/2?cacertfile=/ca.pem")
        #expect(url.host == "::1" && url.port == 7000 && url.database == 2)
        #expect(url.user == "ada" && url.password == "p@ss" && url.tls?.roots == "/ca.pem")
        #expect("\(url)" == "rediss://[::1]:7000/2" && "\(String(reflecting: url))" == "rediss://[::1]:7000/2")
        let short = try RedisURL("redis://cache")
        #expect(short.host == "cache" && short.port == 6379 && short.database == 0 && short.tls == nil)
        for (text, part) in [
            ("cache:6379", "no scheme"), ("http://secret@cache", "not redis"), ("redis://cache:secret", "port"),
            ("redis://cache/secret", "database"), ("redis://ada:se/cret@cache", "%2F"),
            ("redis://%zz@cache", "percent"),
            ("redis://cache?cacertfile=secret", "rediss"), ("rediss://cache?secret=1", "cacertfile"),
        ] {
            let error = #expect(throws: RequestQueueError.self) { try RedisURL(text) }
            let message = error?.message ?? ""
            #expect(message.contains(part) && !message.contains("secret"), "\(message)")
        }
    }

    @Test("TLS verifies the certificate of the server")
    func tls() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "\(folder)/key.pem", "-out",
            "\(folder)/cert.pem",
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        let port = try RedisServer.freePort()
        let arguments = [
            "--tls-port", String(port), "--tls-cert-file", "\(folder)/cert.pem", "--tls-key-file", "\(folder)/key.pem",
            "--tls-ca-cert-file", "\(folder)/cert.pem", "--tls-auth-clients", "no",
        ]
        try await RedisServer.with(arguments) { server in
            func version(_ url: String) async throws -> String {
                try await RedisServerState.read(try RedisURL(url), key: "x").version
            }
            let roots = "?cacertfile=\(folder)/cert.pem"
            let found = try await version("rediss://127.0.0.1:\(port)/0\(roots)")
            #expect(found.hasPrefix("redis 7"))
            for (url, part) in [
                ("rediss://127.0.0.1:\(port)", "self-signed"), ("rediss://localhost:\(port)/0\(roots)", "mismatch"),
                ("rediss://127.0.0.1:\(server.port)/0\(roots)", "cannot reach"),
                ("redis://127.0.0.1:\(port)", "cannot reach"),
                ("rediss://127.0.0.1:\(port)/0?cacertfile=/none", "root certificates"),
            ] {
                let error = await #expect(throws: RequestQueueError.self) { try await version(url) }
                #expect(error?.message.contains(part) == true, "\(url): \(error?.message ?? "")")
            }
        }
    }

    @Test("Redis is killed and restarted while senders and a dispatcher work", arguments: Kind.allCases)
    func restarts(kind: Kind) async throws {
        try await RedisServer.with { server in
            try await Stage.with(.embedded) { stage in
                var made = RedisRequestQueueConfiguration(kind: kind)
                made.lockTime = .milliseconds(600)
                let configuration = made
                let all = (0..<3000).map { Record(id: "r\($0)", kind: .json, bytes: Array("{\"n\":\($0)}".utf8)) }
                @Sendable func queue<Value: Sendable>(_ body: (RedisRequestQueue) async throws -> Value) async throws
                    -> Value
                {
                    let queue = try await RedisRequestQueue.open(
                        url: try server.url,
                        name: "reviews",
                        configuration: configuration
                    )
                    let result: Result<Value, any Error>
                    do { result = .success(try await body(queue)) } catch { result = .failure(error) }
                    await queue.close()
                    return try result.get()
                }
                var quiet = Logger(label: "test")
                quiet.logLevel = .critical
                let logger = quiet
                @Sendable func dispatcher(_ client: SheafClient, _ queue: RedisRequestQueue) -> Dispatcher {
                    Dispatcher(
                        client: client,
                        queue: queue,
                        plan: BatchPlan(flow: "echo"),
                        rules: DispatchRules(queueThreshold: 150, timeThreshold: .milliseconds(500)),
                        interval: .milliseconds(100),
                        logger: logger
                    )
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await stage.client { client in
                            try await queue { try await dispatcher(client, $0).run() }
                        }
                    }
                    try await withThrowingTaskGroup(of: Void.self) { work in
                        for sender in 0..<3 {
                            work.addTask {
                                try await queue { queue in
                                    for part in stride(from: sender * 1000, to: sender * 1000 + 1000, by: 25) {
                                        try await queue.add(Array(all[part..<part + 25]))
                                    }
                                }
                            }
                        }
                        work.addTask {
                            for _ in 0..<3 {
                                try await Task.sleep(for: .milliseconds(Int.random(in: 50...400)))
                                server.kill()
                                try await server.start()
                            }
                        }
                        try await work.waitForAll()
                    }
                    group.cancelAll()
                    while let result = await group.nextResult() {
                        if case .failure(let error) = result, !(error is CancellationError) { throw error }
                    }
                }
                try await stage.client { client in
                    try await queue { queue in
                        try await queue.flush()
                        while true {
                            // The lock of the first dispatcher may not be released.
                            do {
                                try await dispatcher(client, queue).look()
                                break
                            } catch let error as RequestQueueError where error.code == .busy {
                                try await Task.sleep(for: .milliseconds(50))
                            }
                        }
                        #expect(try await queue.waiting().count == 0)
                    }
                    var seen: [String: Int] = [:]
                    for batch in try await client.batches() {
                        let queue = client.names.tasks(flow: "echo", batch: batch.info.id, generation: 0)
                        while let delivery = try await client.broker.get(queue) {
                            seen[try BatchTask(delivery.message).record.id, default: 0] += 1
                            try await client.broker.settle(delivery, as: .acknowledged)
                        }
                    }
                    #expect(seen.count == all.count && seen.values.allSatisfy { $0 == 1 }, "\(seen.count)")
                }
            }
        }
    }
}
