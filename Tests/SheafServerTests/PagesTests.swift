import AsyncHTTPClient
import NIOHTTP1
import Sheaf
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import SheafServer
import SheafTestSupport
import Testing

/// The pages of the dashboard, on a real server.
@Suite(.timeLimit(.minutes(3))) struct PagesTests {
    @Test(
        "Without any batch, each page says what to do next",
        arguments: [
            ("/", "No batch yet", "sheaf create"), ("/batches", "No batch yet", "sheaf run"),
            ("/workers", "No worker runs", "sheaf run"), ("/flows", "No flow", "sheaf.yaml"),
            ("/questions", "No task asks", "--interactive"), ("/dead", "No dead letter", "sheaf dead list"),
            ("/new", "This server knows no flow", "sheaf.yaml"),
        ]
    )
    func emptyPages(path: String, sentence: String, command: String) async throws {
        try await ServerTestBench.with { bench in
            let page = try await bench.page(path)
            #expect(page.status == 200)
            #expect(page.type == "text/html; charset=utf-8")
            #expect(page.text.contains(sentence) && page.text.contains(command), "\(page.text)")
        }
    }

    @Test(
        "An address that leads nowhere gets a page with status 404",
        arguments: [
            "/nothing", "/batches/nothing", "/batches/nothing/tasks", "/batches/nothing/tasks/0",
            "/batches/nothing/journal", "/dead/7", "/dead/x", "/assets/sheaf.css", "/a/b/c/d",
        ]
    )
    func missingPages(path: String) async throws {
        try await ServerTestBench.with { bench in
            let page = try await bench.page(path)
            #expect(page.status == 404)
            #expect(page.text.contains("<h1>Not found</h1>"), "\(page.text)")
        }
    }

    @Test("An address of the API that leads nowhere gets a problem in JSON, not a page")
    func missingInTheAPI() async throws {
        try await ServerTestBench.with { bench in
            let answer = try await bench.page("/api/nothing")
            #expect(answer.status == 404)
            #expect(answer.type == "application/problem+json")
        }
    }

    @Test("Styles, script and icon have addresses that change with their content, and may be kept for a year")
    func assets() async throws {
        try await ServerTestBench.with({ $0.prefix = "/sheaf" }) { bench in
            let page = try await bench.page("/sheaf/")
            for (pattern, type) in [("css", "text/css"), ("js", "text/javascript"), ("svg", "image/svg+xml")] {
                let parts = page.text.split(separator: "\"")
                let path = try #require(parts.first { $0.hasPrefix("/sheaf/assets/") && $0.hasSuffix(".\(pattern)") })
                let asset = try await bench.page(String(path))
                #expect(asset.status == 200)
                #expect(asset.type?.hasPrefix(type) == true)
                #expect(asset.headers["cache-control"].first == "public, max-age=31536000, immutable")
                #expect(asset.text.utf8.count > 100)
            }
        }
    }

    @Test("A page allows no inline script or style, and has none")
    func policy() async throws {
        try await ServerTestBench.with { bench in
            let page = try await bench.page("/")
            let policy = try #require(page.headers["content-security-policy"].first)
            #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
            for inline in [" style=", "<style", "<script>", " onclick=", "javascript:", "http:", "https:"] {
                #expect(!page.text.contains(inline), "\(inline)")
            }
        }
    }

    @Test("A browser that has the page already gets an empty response")
    func tags() async throws {
        try await ServerTestBench.with { bench in
            let tag = try #require(try await bench.page("/").headers["etag"].first)
            let again = try await bench.page("/", ["If-None-Match": tag])
            #expect(again.status == 304 && again.text.isEmpty)
        }
    }

    @Test("All links of a page begin with the prefix", arguments: ["/", "/new", "/workers", "/nothing", "/batches/b"])
    func prefix(path: String) async throws {
        try await ServerTestBench.with({ $0.prefix = "/sheaf" }) { bench in
            _ = try await bench.client.create(try plan { $0.id = "b" }, records: records(2))
            try await bench.until("/sheaf/batches/b") { $0.status == 200 }
            let page = try await bench.page("/sheaf\(path)")
            let links = page.text.split(separator: " ").filter {
                $0.hasPrefix("href=\"") || $0.hasPrefix("src=\"") || $0.hasPrefix("action=\"")
                    || $0.hasPrefix("data-action=\"") || $0.hasPrefix("data-events=\"")
            }
            #expect(links.count > 4)
            for link in links {
                #expect(link.contains("=\"/sheaf/") || link.contains("=\"#"), "\(link)")
            }
        }
    }

    @Test("Markup in ids, sources, tags, errors and searches is text on every page")
    func markup() async throws {
        // A quote with a combining accent is one character, and still ends an attribute.
        let nasty = "\"\u{301}><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;"
        try await Stage.with(.embedded) { stage in
            let record = Record(id: nasty, kind: .text, bytes: Array(nasty.utf8))
            let flow = try FlowDefinition.work { _ in throw FlowError(type: "odd\(nasty)", message: nasty) }
            try await stage.client { client in
                let plan = try plan {
                    $0.id = "b"
                    $0.options.tags = ["key": nasty]
                    $0.source = nasty
                }
                _ = try await client.create(plan, records: [record].async)
                try await stage.work([flow])
                try await ServerTestBench.with(on: client, { _ in }) { bench in
                    try await bench.until("/batches/b") { $0.text.contains("Failures by error") }
                    try await bench.until("/batches/b") { $0.text.contains("class=\"groups\"") }
                    try await bench.until("/batches/b/tasks") { $0.text.contains("data-key=\"0\"") }
                    let search = "%22%CC%81%3E%3Cscript%3Ealert(1)"
                    let paths = [
                        "/", "/?q=\(search)", "/?tag=\(search)", "/?flow=\(search)", "/batches/b", "/batches/b/tasks",
                        "/batches/b/tasks?q=\(search)", "/batches/b/tasks?error_type=\(search)", "/batches/b/tasks/0",
                        "/batches/b/journal", "/batches/\(search)", "/dead", "/login?next=/\(search)",
                    ]
                    for path in paths {
                        let page = try await bench.page(path)
                        #expect(!page.text.contains("<script>"), "\(path)")
                        #expect(!page.text.contains("<img"), "\(path)")
                        #expect(!page.text.utf8.containsPart(Array("\"\u{301}".utf8)), "\(path)")
                    }
                    let task = try await bench.until("/batches/b/tasks/0") { $0.text.contains("<h1>Task 0</h1>") }
                    #expect(task.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
                }
            }
        }
    }

    @Test("Of a large record, a page shows 16 KiB and offers the rest as a download")
    func largeRecord() async throws {
        try await Stage.with(.embedded) { stage in
            let record = Record(id: "large", kind: .text, bytes: Array(repeating: UInt8(ascii: "x"), count: 900_000))
            try await stage.client { client in
                _ = try await client.create(try plan { $0.id = "b" }, records: [record].async)
                try await stage.work([try .work { _ in throw FlowError(type: "no", message: "no") }])
                try await ServerTestBench.with(on: client, { _ in }) { bench in
                    // A busy machine may still read the tasks.
                    let page = try await bench.until("/batches/b/tasks/0") { $0.text.contains("<h1>Task 0</h1>") }
                    #expect(page.text.utf8.count < 40_000)
                    #expect(page.text.contains("The first 16 KiB are shown."))
                    #expect(page.text.contains("href=\"/api/batches/b/jobs/0/record\""))
                    #expect(try await bench.page("/api/batches/b/jobs/0/record").text.utf8.count == 900_000)
                }
            }
        }
    }

    @Test("With 1,000 batches, the list has 50 rows and less than 100 KB")
    func manyBatches() async throws {
        try await ServerTestBench.with { bench in
            let names = bench.client.names
            for number in 0..<1000 {
                let entry = JournalEntry(
                    batch: try #require(Name("b\(number)")),
                    flow: number % 2 == 0 ? "even" : "odd",
                    at: .now,
                    event: .created(options: BatchOptions(), source: "", nonce: "n\(number)")
                )
                try await bench.client.broker.append(entry.message, to: names.journal)
            }
            try await bench.until("/") { $0.text.contains("1,000 batches") }
            let page = try await bench.page("/")
            #expect(page.text.utf8.count < 100_000)
            #expect(page.text.split(separator: "<tr data-key=").count == 51)
            let odd = try await bench.page("/?flow=odd")
            #expect(odd.text.contains("500 batches") && !odd.text.contains(">even</a>"))
            let second = try await bench.page("/?after=b950")
            #expect(second.text.contains(">b949<") && !second.text.contains(">b950<"))
            #expect(try await bench.page("/?q=B77").text.contains("11 batches"))
            #expect(try await bench.page("/?flow=odd&status=completed").text.contains("No batch matches"))
            #expect(try await bench.page("/?q=nothing").text.contains("No batch matches"))
        }
    }

    @Test("A reader is offered nothing that changes a batch; a writer is")
    func scopes() async throws {
        try await ServerTestBench.withTokens { bench in
            _ = try await bench.client.create(try plan { $0.id = "b" }, records: records(2))
            let (reader, writer) = (ServerTestBench.reader, ServerTestBench.writer)
            try await bench.until("/batches/b", ["Cookie": "sheaf_token=\(writer)"]) { $0.status == 200 }
            let read = try await bench.page("/batches/b", ["Cookie": "sheaf_token=\(reader)"])
            #expect(read.status == 200 && !read.text.contains("data-action="))
            let write = try await bench.page("/batches/b", ["Cookie": "sheaf_token=\(writer)"])
            #expect(write.text.contains("data-action=\"/api/batches/b/cancel\""))
            #expect(write.text.contains("2 waiting tasks will be dropped"))
        }
    }

    @Test("The page to sign in has the look of the others, and keeps where the browser wanted to go")
    func signIn() async throws {
        try await ServerTestBench.withTokens { bench in
            let page = try await bench.page("/login?next=/batches/b")
            #expect(page.text.contains("<h1>Sign in</h1>") && page.text.contains("/assets/sheaf."))
            #expect(page.text.contains("name=\"next\" value=\"/batches/b\""))
        }
    }
}
