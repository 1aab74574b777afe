import SheafServer
import Testing

@Suite struct AccessTests {
    @Test("A request without a token is refused with 401", arguments: ["/api/batches", "/api/none", "/metrics"])
    func noToken(path: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let response = try await bench.send("GET", path)
            #expect(response.status == 401)
            #expect(response.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
            #expect(response.headers["content-type"] == "application/problem+json")
        }
    }

    @Test(
        "A request with a wrong token is refused with 401",
        arguments: [
            "Bearer reader-0123456788", "Bearer reader-012345678", "Bearer reader-01234567890", "Bearer ", "Bearer",
            "Basic reader-0123456789", "reader-0123456789",
        ]
    )
    func wrongToken(header: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let response = try await bench.send("GET", "/api/batches", ["Authorization": header])
            #expect(response.status == 401)
        }
    }

    @Test("A token of each scope may read")
    func read() async throws {
        try await ServerTestBench.withTokens { bench async throws in
            #expect(try await bench.send("GET", "/api/batches", token: ServerTestBench.reader).status == 200)
            #expect(try await bench.send("GET", "/api/batches", token: ServerTestBench.writer).status == 200)
        }
    }

    @Test("A read token is refused with 403 on every request that acts", arguments: ["POST", "PUT", "PATCH", "DELETE"])
    func readTokenActs(method: String) async throws {
        try await ServerTestBench.withTokens { bench in
            for path in ["/api/batches", "/api/batches/b", "/api/batches/b/cancel", "/api/none"] {
                let refused = try await bench.send(method, path, token: ServerTestBench.reader)
                #expect(refused.status == 403, "\(path)")
                #expect(refused.headers["www-authenticate"]?.contains("insufficient_scope") == true)
                let admitted = try await bench.send(method, path, token: ServerTestBench.writer)
                #expect(![401, 403].contains(admitted.status), "\(path)")
            }
        }
    }

    @Test("A request that acts is refused with 403 if a page of another site sends it")
    func crossSite() async throws {
        try await ServerTestBench.with { bench async throws in
            for site in ["cross-site", "same-site"] {
                #expect(try await bench.send("POST", "/logout", ["Sec-Fetch-Site": site]).status == 403, "\(site)")
            }
            for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:\(bench.port)"] {
                #expect(try await bench.send("POST", "/logout", ["Origin": origin]).status == 403, "\(origin)")
            }
        }
    }

    @Test("A request that acts is admitted from the server's own pages and from programs")
    func sameSite() async throws {
        try await ServerTestBench.with { bench async throws in
            for headers in [
                [:], ["Sec-Fetch-Site": "same-origin"], ["Sec-Fetch-Site": "none"],
                ["Origin": "http://127.0.0.1:\(bench.port)"],
            ] {
                #expect(try await bench.send("POST", "/logout", headers).status == 303, "\(headers)")
            }
        }
    }

    @Test("The origin of the public URL is the server's own")
    func publicOrigin() async throws {
        try await ServerTestBench.with({ $0.publicURL = "https://sheaf.example.org" }) { bench in
            let headers = ["Origin": "https://sheaf.example.org", "Host": "sheaf.example.org"]
            let response = try await bench.send("POST", "/logout", headers)
            #expect(response.status == 303)
        }
    }

    @Test(
        "A request for another host is refused with 421",
        arguments: ["evil.example", "evil.example:80", "sheaf.org"]
    )
    func foreignHost(host: String) async throws {
        try await ServerTestBench.with({ $0.allowedHosts = ["a.example", "*.sheaf.org"] }) { bench in
            let response = try await bench.send("GET", "/api/batches", ["Host": host])
            #expect(response.status == 421)
        }
    }

    @Test(
        "A request for the server's own names and for addresses is admitted",
        arguments: ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", "192.0.2.7", "a.example.", "x.sheaf.org:80"]
    )
    func ownHost(host: String) async throws {
        try await ServerTestBench.with({ $0.allowedHosts = ["a.example", "*.sheaf.org"] }) { bench in
            let response = try await bench.send("GET", "/api/batches", ["Host": host])
            #expect(response.status == 200)
        }
    }

    @Test("A request without a host is refused with 400")
    func noHost() async throws {
        try await ServerTestBench.with { bench in
            let response = try await bench.send("GET", "/api/batches", ["Host": ""])
            #expect(response.status == 400)
        }
    }

    @Test(
        "A path that leads out of its folder is refused with 400",
        arguments: [
            "/../etc/passwd", "/assets/../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
            "/assets/..%2fetc%2fpasswd",
            "/assets/..%5c..%5cetc", "/api/batches/%2e%2e", "/api/./batches", "/%00", "/api/%ff",
        ]
    )
    func traversal(path: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let response = try await bench.send("GET", path, token: ServerTestBench.writer)
            #expect(response.status == 400)
        }
    }

    @Test("Without tokens, an address that other machines reach is refused", arguments: ["0.0.0.0", "::", "192.0.2.7"])
    func needsTokens(host: String) async throws {
        let error = try await ServerTestBench.error { $0.host = host }
        #expect(error?.code == .needsTokens)
    }

    @Test("With tokens, all interfaces can be served")
    func allInterfaces() async throws {
        try await ServerTestBench.withTokens({ $0.host = "0.0.0.0" }) { bench in
            let response = try await bench.send("GET", "/api/batches", token: ServerTestBench.reader)
            #expect(response.status == 200)
        }
    }
}
