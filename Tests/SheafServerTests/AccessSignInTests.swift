import SheafServer
import Testing

@Suite struct AccessSignInTests {
    private static let form = ["Content-Type": "application/x-www-form-urlencoded"]

    @Test("A browser without a token is sent to the page that asks for it")
    func redirect() async throws {
        try await ServerTestBench.withTokens({ $0.prefix = "/sheaf" }) { bench in
            let response = try await bench.send("GET", "/sheaf/batches?q=a", ["Accept": "text/html,*/*"])
            #expect(response.status == 303)
            #expect(response.headers["location"] == "/sheaf/login?next=%2Fbatches%3Fq%3Da")
            let page = try await bench.send("GET", "/sheaf/login?next=%2Fbatches%3Fq%3Da")
            #expect(page.status == 200)
            #expect(page.body.contains(#"value="/batches?q=a""#))
        }
    }

    @Test("Signing in stores the token in a cookie that only this site can use, and signing out removes it")
    func cookie() async throws {
        try await ServerTestBench.withTokens { bench in
            let token = ServerTestBench.reader
            let response = try await bench.send("POST", "/login", Self.form, body: "token=\(token)&next=%2Fbatches")
            #expect(response.status == 303)
            #expect(response.headers["location"] == "/batches")
            let cookie = try #require(response.headers["set-cookie"])
            for part in ["sheaf_token=\(token)", "HttpOnly", "SameSite=Strict", "Path=/"] {
                #expect(cookie.contains(part), "\(cookie)")
            }
            let sent = ["Cookie": "other=1; sheaf_token=\(token)"]
            #expect(try await bench.send("GET", "/api/batches", sent).status == 200)
            #expect(try await bench.send("DELETE", "/api/batches/b", sent).status == 403)
            let end = try await bench.send("POST", "/logout", sent)
            #expect(end.headers["set-cookie"]?.contains("Max-Age=0") == true)
        }
    }

    @Test("The cookie is marked as secure if clients use HTTPS")
    func secureCookie() async throws {
        try await ServerTestBench.withTokens({ $0.publicURL = "https://sheaf.example.org" }) { bench in
            let response = try await bench.send("POST", "/login", Self.form, body: "token=\(ServerTestBench.reader)")
            #expect(response.headers["set-cookie"]?.contains("Secure") == true)
        }
    }

    @Test("Signing in with a wrong token is refused with 401", arguments: ["token=wrong", "token=", "", "next=%2F"])
    func wrongToken(form: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let response = try await bench.send("POST", "/login", Self.form, body: form)
            #expect(response.status == 401)
            #expect(response.headers["set-cookie"] == nil)
        }
    }

    @Test("A wrong cookie is refused with 401")
    func wrongCookie() async throws {
        try await ServerTestBench.withTokens { bench in
            let response = try await bench.send("GET", "/api/batches", ["Cookie": "sheaf_token=wrong"])
            #expect(response.status == 401)
        }
    }

    @Test(
        "Signing in never leads to another site",
        arguments: ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2Fa%0D%0Ab"]
    )
    func openRedirect(next: String) async throws {
        try await ServerTestBench.withTokens { bench in
            let body = "token=\(ServerTestBench.reader)&next=\(next)"
            let response = try await bench.send("POST", "/login", Self.form, body: body)
            #expect(response.headers["location"] == "/")
        }
    }

    @Test("Markup in the target of the sign-in page stays text")
    func markup() async throws {
        try await ServerTestBench.withTokens { bench in
            let page = try await bench.send("GET", "/login?next=%2F%22%3E%3Cb%3E")
            #expect(page.body.contains(#"value="/&quot;&gt;&lt;b&gt;""#))
        }
    }
}
