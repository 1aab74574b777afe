import NIOCore
import SheafServer
import Testing

@Suite struct ServerLimitsTests {
    @Test("A header that does not arrive in time is answered with 408")
    func slowHeader() async throws {
        try await ServerTestBench.with({ $0.limits.headerTime = .milliseconds(200) }) { bench in
            try await bench.connected { connection in
                await connection.write("GET /api/batches HTTP/1.1\r\nHost: loc")
                let response = try await connection.response()
                #expect(response?.status == 408)
                #expect(response?.headers["connection"] == "close")
                #expect(await connection.untilClosed() == "")
            }
        }
    }

    @Test("The time for a header does not begin again with each byte")
    func drippingHeader() async throws {
        try await ServerTestBench.with({ $0.limits.headerTime = .milliseconds(300) }) { bench in
            try await bench.connected { connection in
                await connection.write("GET /api/batches HTTP/1.1\r\nX: ")
                let start = ContinuousClock.now
                for _ in 0..<20 {
                    await connection.write("x")
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(try await connection.response()?.status == 408)
                #expect(ContinuousClock.now - start < .seconds(20))
            }
        }
    }

    @Test("A body that does not arrive in time is answered with 408")
    func slowBody() async throws {
        try await ServerTestBench.with({ $0.limits.bodyInterval = .milliseconds(200) }) { bench in
            try await bench.connected { connection in
                await connection.write("POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken=")
                let response = try await connection.response()
                #expect(response?.status == 408)
                #expect(response?.headers["content-type"] == "application/problem+json")
                #expect(await connection.untilClosed() == "")
            }
        }
    }

    @Test("A body that arrives fast enough takes as long as it needs")
    func steadyBody() async throws {
        try await ServerTestBench.withTokens { options in
            options.limits.bodyInterval = .milliseconds(500)
            options.limits.bodyBytes = 1
        } _: { bench in
            try await bench.connected { connection in
                let body = "token=\(ServerTestBench.reader)"
                await connection.write(
                    "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\n\r\n"
                )
                for character in body {
                    await connection.write(String(character))
                    try await Task.sleep(for: .milliseconds(60))
                }
                #expect(try await connection.response()?.status == 303)
            }
        }
    }

    @Test("A body above the limit of its route is answered with 413")
    func largeBody() async throws {
        try await ServerTestBench.withTokens { bench in
            let body = "token=" + String(repeating: "x", count: 20_000)
            let response = try await bench.send("POST", "/login", body: body)
            #expect(response.status == 413)
        }
    }

    @Test("The rest of a body that nothing reads is bounded")
    func surplus() async throws {
        try await ServerTestBench.with({ $0.limits.surplusBytes = 100_000 }) { bench in
            try await bench.connected { connection async throws in
                await connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
                #expect(try await connection.response()?.status == 200)
                for _ in 0..<20 { await connection.write(String(repeating: "x", count: 10_000)) }
                #expect(await connection.untilClosed() == "")
            }
        }
    }

    @Test("Headers above the limit are answered with 431", arguments: [1, 100])
    func largeHeader(count: Int) async throws {
        try await ServerTestBench.with { bench in
            try await bench.connected { connection async throws in
                await connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
                let value = String(repeating: "x", count: 70_000 / count)
                for number in 0..<count { await connection.write("X-\(number): \(value)\r\n") }
                await connection.write("\r\n")
                #expect(try await connection.response()?.status == 431)
            }
        }
    }

    @Test(
        "What is no HTTP is answered with 400",
        arguments: ["\u{16}\u{3}\u{1}hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n"]
    )
    func noHTTP(text: String) async throws {
        try await ServerTestBench.with { bench in
            try await bench.connected { connection async throws in
                await connection.write(text)
                #expect(try await connection.response()?.status == 400)
            }
        }
    }

    @Test("A connection above the limit is answered with 503, and served once another one is closed")
    func tooManyConnections() async throws {
        try await ServerTestBench.with({ $0.limits.connections = 2 }) { bench in
            let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            try await bench.connected { first in
                await first.write(request)
                #expect(try await first.response()?.status == 200)
                try await bench.connected { second in
                    await second.write(request)
                    #expect(try await second.response()?.status == 200)
                    let refused = try await bench.send("GET", "/healthz")
                    #expect(refused.status == 503)
                    #expect(refused.headers["retry-after"] == "5")
                }
                // The server notices the end of the second connection a little later.
                while try await bench.send("GET", "/healthz").status != 200 {}
                await first.write(request)
                #expect(try await first.response()?.status == 200)
            }
        }
    }

    @Test("A connection without a request is closed after the idle time", arguments: [false, true])
    func idle(isUsed: Bool) async throws {
        try await ServerTestBench.with({ $0.limits.idleTime = .milliseconds(200) }) { bench in
            try await bench.connected { connection async throws in
                if isUsed {
                    await connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    #expect(try await connection.response()?.status == 200)
                }
                #expect(await connection.untilClosed() == "")
            }
        }
    }

    @Test("Several requests on one connection are answered in order")
    func pipelining() async throws {
        try await ServerTestBench.with { bench in
            try await bench.connected { connection async throws in
                let paths = ["/healthz", "/none", "/api/batches"]
                for path in paths { await connection.write("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n") }
                for status in [200, 404, 200] { #expect(try await connection.response()?.status == status) }
            }
        }
    }
}
