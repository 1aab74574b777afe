import Foundation
import Sheaf
import SheafCore
import SheafDispatch
import SheafSources
import SheafTestTools
import Testing

@testable import SheafRedis

/// Programs in Python, with redis-py and LangBatch as they are published.
@Suite("Requests from Python")
struct PythonTests {
    @Test("LangBatch's own queue adds requests, as lists of messages and as objects")
    func langBatch() async throws {
        try await RedisServer.with { server in
            let scene = Scene(server, .list)
            try await Python.run(
                """
                import importlib.util, pathlib, redis, sysconfig
                place = pathlib.Path(sysconfig.get_path("purelib")) / "langbatch" / "request_queues.py"
                spec = importlib.util.spec_from_file_location("request_queues", place)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                queue = module.RedisRequestQueue(redis.Redis(port=\(server.port)), queue_name="requests")
                queue.add_requests([[{"role": "user", "content": f"question {n}"}] for n in range(50)])
                queue.add_requests([{"id": f"q{n}", "messages": []} for n in range(50)])
                assert len(queue) == 100
                """
            )
            try await scene.queue { queue in
                #expect(try await queue.waiting().count == 100)
                let items = try await scene.drain(queue)
                #expect(items.count == 100 && items.allSatisfy(\.isRecord))
                #expect(items[3].text == #"[{"role": "user", "content": "question 3"}]"#)
                #expect(items[50...].map(\.place) == (0..<50).map { "q\($0)" })
                #expect(Set(items.map(\.place)).count == 100)
            }
        }
    }

    @Test("What redis-py sends again after a time-out is one request")
    func repeated() async throws {
        try await RedisServer.with(["--enable-debug-command", "local"]) { server in
            let scene = Scene(server, .list)
            try await Python.run(
                """
                import redis, threading
                from redis.backoff import ConstantBackoff
                from redis.exceptions import TimeoutError
                from redis.retry import Retry
                server = redis.Redis(port=\(server.port))
                sender = redis.Redis(
                    port=\(server.port), socket_timeout=0.2, retry=Retry(ConstantBackoff(0.05), 10),
                    retry_on_error=[TimeoutError],
                )
                sender.ping()
                # The server does not answer for a while, and then runs what it has received meanwhile.
                busy = threading.Thread(target=lambda: server.execute_command("DEBUG", "SLEEP", "0.9"))
                busy.start()
                calls = 0
                while busy.is_alive():
                    sender.rpush("requests", '{"id": "once"}')
                    calls += 1
                assert server.llen("requests") > calls, "redis-py has repeated no push after a time-out"
                """
            )
            try await scene.queue { queue in
                #expect(try await queue.waiting().count == 1)
                let items = try await scene.drain(queue)
                #expect(items.map(\.place) == ["once"])
            }
        }
    }
}

/// A Python environment, kept between runs in the build folder.
enum Python {
    private static let prepared = Task { try await prepare() }

    /// Runs a program; throws what it writes if it fails.
    static func run(_ program: String) async throws {
        let interpreter = try await prepared.value
        try await Workbench.with(configuration: "") { bench in
            try bench.write(program, to: "program.py")
            let run = try await bench.shell("'\(interpreter)' program.py")
            try #require(run.code == 0, "\(run.output)\(run.talk)")
        }
    }

    private static func prepare() async throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let home = root.appending(path: ".build/python-redis-8.1.0-langbatch-0.1.2").path
        try await Workbench.with(configuration: "") { bench in
            // LangBatch without the clients of its providers, which its queue does not need.
            let run = try await bench.shell(
                """
                [ -e '\(home)/is-complete' ] || {
                    python3 -m venv --clear '\(home)' &&
                    '\(home)/bin/pip' install --quiet --disable-pip-version-check redis==8.1.0 &&
                    '\(home)/bin/pip' install --quiet --disable-pip-version-check --no-deps langbatch==0.1.2 &&
                    touch '\(home)/is-complete'
                }
                """,
                limit: .seconds(120)
            )
            try #require(run.code == 0, "no redis-py (apt-get install python3-venv): \(run.talk)")
        }
        return "\(home)/bin/python"
    }
}
