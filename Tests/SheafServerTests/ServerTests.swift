import SheafCore
import SheafServer
import SheafSettings
import Testing

@Suite struct ServerTests {
    @Test("A server listens on port 8080 of the loopback interface by default")
    func defaults() {
        #expect(ServerOptions().host == "127.0.0.1")
        #expect(ServerOptions().url(port: ServerOptions().port) == "http://127.0.0.1:8080")
    }

    @Test(
        "Probes need neither a token nor a known host, with and without a prefix",
        arguments: ["/healthz", "/readyz"]
    )
    func probes(path: String) async throws {
        try await ServerTestBench.withTokens({ $0.prefix = "/sheaf" }) { bench async throws in
            #expect(try await bench.send("GET", path, ["Host": "pod.internal"]).status == 200)
            #expect(try await bench.send("GET", "/sheaf" + path).status == 200)
        }
    }

    @Test("With a prefix, everything is below it")
    func prefix() async throws {
        try await ServerTestBench.with({ $0.prefix = "/a/b" }) { bench async throws in
            #expect(try await bench.send("GET", "/a/b/api/batches?limit=1").status == 200)
            for path in ["/api/batches", "/a/bc/api/batches", "/a", "/"] {
                #expect(try await bench.send("GET", path).status == 404, "\(path)")
            }
        }
    }

    @Test("HEAD answers as GET does, without a body")
    func head() async throws {
        try await ServerTestBench.with { bench in
            let get = try await bench.send("GET", "/api/batches")
            let head = try await bench.send("HEAD", "/api/batches")
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == get.headers["content-length"])
            #expect(try await bench.send("HEAD", "/api/batches/none").status == 404)
        }
    }

    @Test("OPTIONS names the methods of a path")
    func options() async throws {
        try await ServerTestBench.with { bench in
            let response = try await bench.send("OPTIONS", "/readyz")
            #expect(response.status == 204)
            #expect(response.headers["allow"] == "GET, HEAD, OPTIONS")
        }
    }

    @Test("A method that a path does not accept is refused with 405 and the methods that it accepts")
    func methodNotAllowed() async throws {
        try await ServerTestBench.with { bench in
            let response = try await bench.send("PUT", "/readyz")
            #expect(response.status == 405)
            #expect(response.headers["allow"] == "GET, HEAD, OPTIONS")
            let problem = try response.json
            #expect(problem["next"] == "use GET, HEAD, OPTIONS")
        }
    }

    @Test("The methods of a path are those of the route that names it, not those of one with a parameter in its place")
    func methodsOfLiterals() async throws {
        try await ServerTestBench.with { bench in
            let refusal = try await bench.send("GET", "/api/dead/requeue")
            #expect(refusal.status == 405 && refusal.headers["allow"] == "OPTIONS, POST")
            #expect(try await bench.send("OPTIONS", "/api/dead/7").headers["allow"] == "GET, HEAD, OPTIONS")
        }
    }

    @Test("A problem is reported as RFC 9457 says, with the next request")
    func problem() async throws {
        try await ServerTestBench.with({ $0.prefix = "/sheaf" }) { bench in
            let response = try await bench.send("GET", "/sheaf/api/batches/none")
            #expect(response.status == 404)
            #expect(response.headers["content-type"] == "application/problem+json")
            let problem = try response.json
            #expect(
                problem == [
                    "type": "urn:sheaf:problem:notFound", "title": "Not Found", "status": 404,
                    "detail": "batch 'none' does not exist", "next": "GET /sheaf/api/batches lists the batches",
                ]
            )
            let missing = try await bench.send("GET", "/sheaf/none").json
            #expect(missing["detail"] == "there is nothing at GET /sheaf/none")
        }
    }

    @Test(
        "Every response has the headers that restrict browsers",
        arguments: ["/api/batches", "/none", "/login", "/%00"]
    )
    func securityHeaders(path: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let headers = try await bench.send("GET", path, token: ServerTestBench.reader).headers
            #expect(headers["x-content-type-options"] == "nosniff")
            #expect(headers["content-security-policy"]?.contains("frame-ancestors 'none'") == true)
            #expect(headers["content-security-policy"]?.contains("unsafe") == false)
            #expect(headers["referrer-policy"] == "same-origin")
            #expect(["no-store", "no-cache"].contains(headers["cache-control"]))
            #expect(headers["access-control-allow-origin"] == nil)
        }
    }

    @Test("A port in use is reported as such")
    func portInUse() async throws {
        try await ServerTestBench.with { bench in
            let error = try await ServerTestBench.error { $0.port = bench.port }
            #expect(error?.code == .portInUse)
            #expect(error?.message == "cannot listen on 127.0.0.1:\(bench.port): another program uses the port")
        }
    }

    @Test("An unknown address is reported as such")
    func unknownAddress() async throws {
        let error = try await ServerTestBench.error {
            $0.host = "192.0.2.7"
            $0.tokens = [ServerOptions.Token(name: "t", secret: ServerTestBench.reader, scope: .read)]
        }
        #expect(error?.code == .cannotListen)
    }

    @Test("A missing certificate is reported with its file")
    func badCertificate() async throws {
        let error = try await ServerTestBench.error { $0.tls = ("/nonexistent.pem", "/nonexistent.key") }
        #expect(error?.code == .badCertificate)
        #expect(error?.message.contains("/nonexistent.pem") == true)
    }

    @Test("A running request is answered after the order to end, and no further connection is accepted")
    func drains() async throws {
        try await ServerTestBench.withTokens { bench in
            try await bench.connected { connection async throws in
                let body = "token=\(ServerTestBench.reader)"
                await connection.write("POST /login HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n")
                await connection.write("Content-Length: \(body.utf8.count)\r\n\r\n")
                #expect(try await connection.response()?.status == 100)
                await bench.drain()
                // The listening socket is closed a moment after the order.
                while await bench.isListening {}
                await connection.write(body)
                #expect(try await connection.response()?.status == 303)
                #expect(await connection.untilClosed() == "")
            }
        }
    }

    @Test("Requests that are still running after the time to drain are cut")
    func drainTimesOut() async throws {
        let error = await #expect(throws: ServerError.self) {
            try await ServerTestBench.with({ $0.drainTime = .milliseconds(100) }) { bench in
                try await bench.connected { connection async throws in
                    await connection.write("POST /login HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n")
                    await connection.write("Content-Length: 10\r\n\r\n")
                    #expect(try await connection.response()?.status == 100)
                    await bench.drain()
                    _ = await connection.untilClosed()
                }
            }
        }
        #expect(error?.code == .drainTimedOut)
    }

    @Test("Two servers beside each other show the same batches")
    func twoServers() async throws {
        try await ServerTestBench.with { first in
            try await ServerTestBench.with(on: first.client, { _ in }) { second in
                let shown = try await first.send("GET", "/api/batches").json
                #expect(try await second.send("GET", "/api/batches").json == shown)
            }
        }
    }
}
