import Glibc
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Webhooks to a receiver that checks signatures with Python's own library.
    @Suite struct WebhookTests {
        private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

        /// Answers 500 until the file `ready` exists; notes the id, whether the signature is right, and the event.
        private static let receiver = #"""
            import base64, hashlib, hmac, http.server, json, os
            key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    body = self.rfile.read(int(self.headers["content-length"]))
                    name, time = self.headers["webhook-id"], self.headers["webhook-timestamp"]
                    code = hmac.new(key, f"{name}.{time}.".encode() + body, hashlib.sha256).digest()
                    right = self.headers["webhook-signature"] == "v1," + base64.b64encode(code).decode()
                    event = json.loads(body)
                    with open("received", "a") as file:
                        print(name, right, event["type"], event["data"]["counts"]["succeeded"], file=file)
                    self.send_response(200 if os.path.exists("ready") else 500)
                    self.end_headers()
                def log_message(self, *_):
                    pass
            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            with open("port.new", "w") as file:
                print(server.server_port, file=file)
            os.rename("port.new", "port")
            server.serve_forever()
            """#

        private func receiving(_ site: Site, _ body: @escaping @Sendable (String) async throws -> Void) async throws {
            try site.bench.write(Self.receiver, to: "receiver.py")
            _ = try await site.bench.shell("exec python3 receiver.py", limit: .seconds(120)) { receiver in
                defer { kill(receiver, SIGKILL) }
                try await site.bench.until("the receiver listens") { try !site.bench.lines(of: "port").isEmpty }
                try await body("http://127.0.0.1:\(try site.bench.lines(of: "port")[0])/hook")
            }
        }

        private static func run(_ site: Site, _ options: String, allowing: Bool = true) -> String {
            "export SHEAF_WEBHOOK_SECRET=\(secret) SHEAF_NOTIFY_ALLOW_PRIVATE=\(allowing); exec $SHEAF run \(options) 2>>notes"
        }

        @Test(
            "A webhook is repeated with its id until it is accepted, also after a kill",
            arguments: BrokerKind.allCases
        )
        func repeating(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await receiving(site) { url in
                    let batch = try await site.create(site.echo.text, "-", "--notify", url, input: "one\ntwo\n")
                    let killed = try await site.bench.shell(Self.run(site, "")) { number in
                        try await site.bench.until("the first attempt is made") {
                            try !site.bench.lines(of: "received").isEmpty
                        }
                        kill(number, SIGKILL)
                    }
                    #expect(killed.code == 137)
                    try site.bench.write("", to: "ready")
                    let before = try site.bench.lines(of: "received").count
                    let id = try #require(batch["batch_id"]?.stringValue)
                    _ = try await site.bench.shell(Self.run(site, "")) { number in
                        try await site.bench.until("the journal has it") {
                            try await site.sheaf("events", id).output.contains("notified")
                        }
                        kill(number, SIGINT)
                    }
                    let lines = try site.bench.lines(of: "received")
                    #expect(lines.count > before)
                    #expect(lines.allSatisfy { $0 == "\(id).finished.0.0 True batch.finished 2" }, "\(lines)")
                    // A process that ends with its batch sends the webhook, too, and only that of this batch.
                    let next = try await site.create(site.echo.text, "-", "--notify", url, input: "one\ntwo\n")
                    #expect(try await site.bench.shell(Self.run(site, "--until-empty")).code == 0)
                    let more = try site.bench.lines(of: "received").dropFirst(lines.count)
                    let nextID = try #require(next["batch_id"]?.stringValue)
                    #expect(!more.isEmpty && more.allSatisfy { $0.hasPrefix("\(nextID).finished.0.0 True") }, "\(more)")
                }
            }
        }

        @Test("A webhook to a private address is refused unless it is allowed")
        func refusing() async throws {
            try await Site.with(.embedded) { site in
                try await receiving(site) { url in
                    try site.bench.write("", to: "ready")
                    try await site.create(site.echo.text, "-", "--notify", url, input: "one\n")
                    let run = try await site.bench.shell(Self.run(site, "", allowing: false)) { number in
                        try await site.bench.until("the webhook is given up") {
                            try site.bench.lines(of: "notes").contains { $0.contains("private network") }
                        }
                        kill(number, SIGINT)
                    }
                    #expect(run.code == 130)
                    #expect(try site.bench.lines(of: "received").isEmpty)
                    let wrong = try await site.sheaf("create", "echo", "-", "--notify", "ftp://x", input: "one\n")
                    #expect(wrong.code == 64 && wrong.talk.contains("URL"), "\(wrong.talk)")
                }
            }
        }
    }
}
