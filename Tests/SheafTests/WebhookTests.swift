import SheafCore
import SheafFlows
import Testing

@testable import SheafBatches

@Suite("Webhooks") struct WebhookTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test("Digests agree with FIPS 180-4, also at the limits of a block")
    func digests() {
        let expected = [
            "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            String(repeating: "a", count: 119): "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb",
            String(repeating: "a", count: 120): "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c",
        ]
        for (text, digest) in expected { #expect(hex(SHA256.digest(Array(text.utf8))) == digest) }
    }

    @Test("Authentication codes agree with RFC 4231")
    func codes() {
        let short = SHA256.authenticationCode(of: Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(hex(short) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let long = SHA256.authenticationCode(
            of: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            key: [UInt8](repeating: 0xAA, count: 131)
        )
        #expect(hex(long) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test("A signature is that of the example of Standard Webhooks")
    func signature() throws {
        let configuration = try #require(WebhookConfiguration(secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let webhook = Webhook(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            url: "http://example.org",
            body: Array(#"{"test": 2432232314}"#.utf8)
        )
        let headers = webhook.headers(at: Timestamp(milliseconds: 1_614_265_330_000), key: configuration.key)
        #expect(headers.first { $0.name == "webhook-id" }?.value == webhook.id)
        #expect(headers.first { $0.name == "webhook-timestamp" }?.value == "1614265330")
        #expect(
            headers.first { $0.name == "webhook-signature" }?.value
                == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )
    }

    @Test(
        "A secret that is too short or not Base64 is invalid",
        arguments: ["", "whsec_", "whsec_YWJj", "whsec_!!", "x"]
    )
    func secrets(_ secret: String) {
        #expect(WebhookConfiguration(secret: secret) == nil)
    }

    @Test(
        "Addresses of this machine and of private networks are refused after the name is resolved",
        arguments: [
            "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://169.254.169.254/latest",
            "http://10.0.0.1", "http://[fe80::1]", "http://[::ffff:127.0.0.1]:9", "http://0.0.0.0:9",
            "http://2130706433:9",
        ]
    )
    func privateAddresses(_ url: String) async throws {
        let caller = WebhookCaller(allowsPrivateAddresses: false)
        let error = await #expect(throws: FlowError.self) {
            _ = try await caller.post([], to: url, headers: [], within: .seconds(5))
        }
        #expect(error?.type == FlowError.privateAddressType)
    }

    @Test("The end of a batch and the webhooks about it survive the journal")
    func journal() throws {
        let options = BatchOptions(notify: ["https://example.org/a", "https://example.org/b"])
        #expect(BatchOptions(json: options.json) == options)
        let entry = JournalEntry(batch: "b", flow: "f", at: .now, event: .notified(id: "b.finished.0.1"))
        #expect(JournalEntry(entry.message)?.event == entry.event)
        var state = JournalState()
        for event: JournalEntry.Event in [
            .created(options: options, source: "", nonce: "n"), .sealed(total: 0),
            .finished(generation: 0, endOffset: 0, counts: BatchCounts(), startedAt: nil),
            .notified(id: "b.finished.0.1"),
        ] {
            state.apply(JournalEntry(batch: "b", flow: "f", at: .now, event: event))
        }
        let info = try #require(state["b"])
        let ending = try #require(info.ending)
        #expect(info.notified == ["b.finished.0.1"])
        #expect(Webhook(info, ending: ending, url: 1).id == "b.finished.0.1")
        #expect(Webhook(info, ending: ending, url: 0).url == "https://example.org/a")
    }
}
