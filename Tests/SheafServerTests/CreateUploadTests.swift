import SheafBatches
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafServer

@Suite("Creating a batch from an upload") struct CreateUploadTests {
    @Test(
        "Each content type is split into records as its format says",
        arguments: [
            (
                "application/jsonl", "", "{\"id\":1}\n\n{\"id\":2,\"h\":\"<b>\"}\n",
                [#"{"id":1}"#, #"{"id":2,"h":"<b>"}"#]
            ),
            ("application/x-ndjson; charset=utf-8", "", "{\"id\":1}\n{\"id\":2}", [#"{"id":1}"#, #"{"id":2}"#]),
            ("application/json", "", " \n[{\"id\":1},\n {\"id\":2}]", [#"{"id":1}"#, #"{"id":2}"#]),
            ("text/csv", "", "id,a\r\n1,\"x,y\"\r\n2,z\r\n", [#"{"id":"1","a":"x,y"}"#, #"{"id":"2","a":"z"}"#]),
            ("text/tab-separated-values", "", "id\ta\n1\tx\n", [#"{"id":"1","a":"x"}"#]),
            ("text/plain", "", "one\n\ntwo\n", ["one", "two"]),
            ("application/octet-stream", "&format=lines", "one\n", ["one"]),
            ("application/x-www-form-urlencoded", "&format=csv", "id\n5\n", [#"{"id":"5"}"#]),
        ]
    ) func types(type: String, query: String, body: String, records: [String]) async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(
                body,
                as: type,
                query: "?flow=echo&shuffle=false&tag=a=1&tag=b=x%20y&parameter=n=2\(query)"
            )
            #expect(response.status == 201, "\(response.body)")
            #expect(try response.json["tags"] == ["a": "1", "b": "x y"])
            let tasks = try await bench.tasks(of: response)
            #expect(tasks.map { String(decoding: $0.record.bytes, as: UTF8.self) } == records)
            #expect(tasks.first?.parameters == #"{"n":2}"#)
        }
    }

    @Test(
        "An upload whose format is unknown is refused",
        arguments: [
            ("application/octet-stream", 415), ("application/x-www-form-urlencoded", 415), ("image/png", 415),
            ("multipart/form-data", 400), ("text/csv; charset=iso-8859-1", 415),
        ]
    ) func unknownType(type: String, status: Int) async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create("a\n", as: type, query: "?flow=echo")
            #expect(response.status == status, "\(response.body)")
            #expect(try await bench.batches().isEmpty)
        }
    }

    @Test("An upload without records is refused", arguments: ["", "\n\n", "id\n"])
    func empty(body: String) async throws {
        try await ServerTestBench.creating { bench in
            for type in ["text/csv", "application/jsonl"] where type == "text/csv" || !body.hasPrefix("id") {
                let response = try await bench.create(body, as: type, query: "?flow=echo")
                #expect(response.status == 422, "\(response.body)")
            }
            #expect(try await bench.batches().isEmpty)
        }
    }

    private static let form = """
        --x1\r
        Content-Disposition: form-data; name="max_records"\r
        \r
        2\r
        --x1\r
        Content-Disposition: form-data; name="file"; filename="books.csv"\r
        Content-Type: application/octet-stream\r
        \r
        id\r
        a\r
        b\r
        c\r
        \r
        --x1\r
        Content-Disposition: form-data; name="shuffle"\r
        \r
        false\r
        --x1\r
        Content-Disposition: form-data; name="flow"\r
        \r
        echo\r
        --x1--\r

        """

    @Test("A form has one file, whose name says the format, and options before or after it") func multipart()
        async throws
    {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(Self.form, as: "multipart/form-data; boundary=x1")
            #expect(response.status == 201, "\(response.body)")
            #expect(try await bench.tasks(of: response).map(\.record.id) == ["a", "b"])
            #expect(try await bench.batches().first?.source == "books.csv (uploaded)")
            let unended = try await bench.create(
                Self.form.replacing("--x1--", with: "--x1"),
                as: "multipart/form-data; boundary=x1"
            )
            #expect(unended.status == 400, "\(unended.body)")
            #expect(try await bench.batches().count == 1)
        }
    }

    @Test("A form is split alike however it arrives in pieces", arguments: [1, 2, 3, 7, 20, 100, 1000])
    func pieces(size: Int) throws {
        var parser = try #require(MultipartParser(contentType: #"multipart/form-data; boundary="x1""#))
        let bytes = Array(Self.form.utf8)
        var parts: [(MultipartParser.Part, String)] = []
        var open: (MultipartParser.Part, [UInt8])?
        for start in stride(from: 0, to: bytes.count, by: size) {
            for event in try parser.feed(Array(bytes[start..<min(start + size, bytes.count)])) {
                switch event {
                case .begin(let part): open = (part, [])
                case .data(let more): open?.1 += more
                case .end:
                    let ended = try #require(open)
                    parts.append((ended.0, String(decoding: ended.1, as: UTF8.self)))
                }
            }
        }
        #expect(parser.isFinished)
        #expect(parts.map(\.0.name) == ["max_records", "file", "shuffle", "flow"])
        #expect(parts.map(\.1) == ["2", "id\r\na\r\nb\r\nc\r\n", "false", "echo"])
        #expect(parts[1].0.filename == "books.csv")
    }

    @Test("Unreadable records become failed tasks, and with strict nothing is published") func badRecords() async throws
    {
        try await ServerTestBench.creating { bench in
            let body = "{\"id\":1}\n{\"id\":\n{\"id\":3}\noops\n"
            let refused = try await bench.create(body, as: "application/jsonl", query: "?flow=echo&strict=true")
            #expect(refused.status == 422)
            let detail = try refused.json["detail"]?.stringValue ?? ""
            #expect(detail.contains("2 of 4 records cannot be read; nothing was published"), "\(detail)")
            #expect(detail.contains("-:2: ") && detail.contains("-:4: "), "\(detail)")
            #expect(try await bench.batches().isEmpty)
            let response = try await bench.create(body, as: "application/jsonl", query: "?flow=echo")
            #expect(response.status == 201)
            let json = try response.json
            #expect(json["invalid"] == 2 && json["total"] == 4)
            #expect(try await Set(bench.tasks(of: response).map(\.record.id)) == ["1", "3"])
        }
    }

    @Test("A record above the limit becomes a failed task") func largeRecord() async throws {
        try await ServerTestBench.creating { bench in
            let large = String(repeating: "x", count: Record.maximumSize)
            let response = try await bench.create(#"{"flow":"echo","records":["\#(large)",1]}"#)
            #expect(response.status == 201)
            let json = try response.json
            #expect(json["invalid"] == 1 && json["total"] == 2)
        }
    }

    @Test(
        "A body that ends early creates nothing",
        arguments: [
            "Content-Length: 100\r\n\r\n{\"id\":1}\n", "Transfer-Encoding: chunked\r\n\r\n9\r\n{\"id\":1}\n\r\n",
        ]
    ) func earlyEnd(rest: String) async throws {
        try await ServerTestBench.creating { bench in
            let head = "POST /api/batches?flow=echo HTTP/1.1\r\nHost: 127.0.0.1:\(bench.port)\r\n"
            let answer = await exchange("\(head)Content-Type: application/jsonl\r\n\(rest)", port: bench.port)
            #expect(!answer.hasPrefix("HTTP/1.1 2"), "\(answer)")
            // The same request in full is created, and nothing else.
            let whole = try await bench.create("{\"id\":1}\n", as: "application/jsonl", query: "?flow=echo")
            #expect(whole.status == 201)
            let id = try #require(try whole.json["batch_id"]?.stringValue)
            #expect(try await bench.batches().map(\.id.text) == [id])
        }
    }

    @Test("A batch is created in full although its client goes away after the body") func absentClient() async throws {
        try await ServerTestBench.creating { bench in
            let lines = (0..<5000).map { "{\"id\":\($0)}\n" }.joined()
            let head = "POST /api/batches?flow=echo HTTP/1.1\r\nHost: 127.0.0.1:\(bench.port)\r\n"
            let type = "Content-Type: application/jsonl\r\nContent-Length: \(lines.utf8.count)\r\n\r\n"
            _ = await exchange(head + type + lines, port: bench.port)
            try await until("the batch is published in full") {
                try await bench.batches().first?.sealedTotal == 5000
            }
        }
    }
}
