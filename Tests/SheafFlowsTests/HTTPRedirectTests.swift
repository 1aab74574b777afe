import Foundation
import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows

/// Which servers and addresses requests may reach.
@Suite(.timeLimit(.minutes(2))) struct HTTPRedirectTests {
    private func run(_ flow: HTTPFlow, _ json: String = "1") async throws -> JSONValue {
        do {
            let output = try await flow.run(FlowFixtures.task(json: json))
            await flow.shutDown()
            return try JSON.parse(output.json)
        } catch {
            await flow.shutDown()
            throw error
        }
    }

    private func failure(_ flow: HTTPFlow, _ json: String = "1") async throws -> FlowError {
        try #require(await #expect(throws: FlowError.self) { try await run(flow, json) })
    }

    @Test("Redirects within a server are followed")
    func redirectsWithinAServer() async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(
                url: "\(server.url)/redirect?to=/echo",
                headers: [("Authorization", "key")],
                body: .text("hi")
            )
            let got = try await run(flow)
            #expect(got["method"] == "GET" && got["body"] == "")
            #expect(got["headers"]?["authorization"] == "key")
            let kept = try await run(HTTPFlow(url: "\(server.url)/redirect?code=307&to=/echo", body: .text("hi")))
            #expect(kept["method"] == "POST" && kept["body"] == "hi")
        }
    }

    @Test("A redirect to another server drops headers that may hold keys")
    func anotherServerGetsNoKey() async throws {
        try await ModelServer.with { first in
            try await ModelServer.with { second in
                let flow = try HTTPFlow(
                    url: "\(first.url)/redirect?to=\(second.url)/echo",
                    headers: [("Authorization", "key"), ("X-Api-Key", "key"), ("Accept", "text/x")],
                    allowsPrivateAddresses: true
                )
                let got = try await run(flow)
                #expect(got["headers"]?["authorization"] == nil)
                #expect(got["headers"]?["x-api-key"] == nil)
                #expect(got["headers"]?["accept"] == "text/x")
            }
        }
    }

    @Test("A redirect must not lead to a private address")
    func noPrivateAddressByARedirect() async throws {
        try await ModelServer.with { first in
            try await ModelServer.with { second in
                let error = try await failure(HTTPFlow(url: "\(first.url)/redirect?to=\(second.url)/echo"))
                #expect(error.type == "private-address" && !error.isRetryable)
                #expect(error.message.contains("resolves to 127.0.0.1"))
            }
        }
    }

    @Test("A host from a record must not have a private address")
    func noPrivateAddressFromARecord() async throws {
        try await ModelServer.with { server in
            let record = #"{"url": "\#(server.url)/echo"}"#
            #expect(try await failure(HTTPFlow(url: "{{{url}}}"), record).type == "private-address")
            let allowed = try await run(HTTPFlow(url: "{{{url}}}", allowsPrivateAddresses: true), record)
            #expect(allowed["path"] == "/echo")
            #expect(try await failure(HTTPFlow(url: "{{{url}}}"), #"{"url": "file:///etc/passwd"}"#).type == "template")
        }
    }

    @Test("Redirects in a circle fail the task")
    func circle() async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(url: "\(server.url)/redirect?to=/redirect%3Fto%3D/redirect", redirects: 1)
            let error = try await failure(flow)
            #expect(error.type == "redirects")
            let none = try await failure(HTTPFlow(url: "\(server.url)/redirect?to=/echo", redirects: 0))
            #expect(none.type == "http-302")
        }
    }

    @Test(
        "Private addresses are recognized",
        arguments: [
            ("127.0.0.1", true), ("10.1.2.3", true), ("172.16.0.1", true), ("172.32.0.1", false), ("192.168.1.1", true),
            ("169.254.169.254", true), ("100.64.0.1", true), ("0.0.0.0", true), ("8.8.8.8", false), ("224.0.0.1", true),
            ("::1", true), ("::", true), ("fe80::1", true), ("fd00::1", true), ("2606:4700::1111", false),
            ("::ffff:10.0.0.1", true), ("::ffff:8.8.8.8", false), ("64:ff9b::7f00:1", true), ("2002:7f00:1::", true),
        ]
    )
    func addresses(text: String, isPrivate: Bool) throws {
        let address = try #require(NetworkAddress.find(text).first)
        #expect(address.isPrivate == isPrivate)
    }

    @Test(
        "A host is fixed only if no template can change it",
        arguments: [
            ("https://api.example.com/v1/{{x}}", true), ("https://api.example.com:8443?q={{x}}", true),
            ("https://{{host}}/x", false), ("https://api.example.com{{x}}", false), ("{{{url}}}", false),
            ("https://a@{{x}}/", false), ("https://user@host/{{x}}", false),
        ]
    )
    func fixedHost(url: String, isFixed: Bool) throws {
        #expect(try RequestParts.isHostFixed(url) == isFixed)
    }

    @Test("Retry-After is read as seconds or as a date")
    func retryAfter() {
        #expect(RetryAfter.parse("120") == .seconds(120))
        #expect(RetryAfter.parse(" 0.25 ") == .milliseconds(250))
        #expect(RetryAfter.parse("1e99") == RetryAfter.longest)
        #expect(RetryAfter.parse("-1") == nil)
        #expect(RetryAfter.parse("soon") == nil)
        #expect(RetryAfter.parse("nan") == nil)
        let now = Date(timeIntervalSince1970: 1_792_567_680)
        #expect(RetryAfter.parse("Wed, 21 Oct 2026 07:28:09 GMT", now: now) == .seconds(9))
        #expect(RetryAfter.parse("Wed Oct 21 07:27:00 2026", now: now) == .zero)
    }
}
