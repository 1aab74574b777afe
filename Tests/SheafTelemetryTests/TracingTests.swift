import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import Sheaf
import SheafCore
import SheafTelemetry
import SheafTestTools
import Testing
import Tracing

@Suite("Traces") struct TracingTests {
    private static let configuration = """
        flows:
          traced: { exec: ["bash", "-c", 'printf "%s %s" "$TRACEPARENT" "$TRACESTATE"'] }
          broken: { exec: ["false"], retries: 0 }
          worker:
            process:
              - python3
              - -c
              - |
                import json, sys
                for line in sys.stdin:
                    task = json.loads(line)
                    print(json.dumps({"task_id": task["task_id"], "output": task.get("traceparent")}), flush=True)
        """

    @Test("Attempts link to the creation, and programs get the context of their attempt") func links() async throws {
        try await traced { bench, spans in
            try await bench.sheaf("create", "traced", "in.txt", "--format", "lines", "--batch-id", "t1")
            try await bench.sheaf("create", "broken", "in.txt", "--format", "lines", "--batch-id", "x1")
            try await bench.sheaf("run", "--until-empty")
            let all = try await spans(8)
            let publish = try #require(Self.spans(all, "name", "publish sheaf.tasks.traced").first)
            #expect(publish["kind"] == "SPAN_KIND_PRODUCER" && publish["parent"] == "")
            #expect(publish["attributes"]?["messaging.batch.message_count"] == 3)
            #expect(publish["resource"]?["service.name"] == "sheaf")
            let processed = Self.spans(all, "name", "process sheaf.tasks.traced")
            #expect(processed.count == 3)
            for span in processed {
                #expect(span["kind"] == "SPAN_KIND_CONSUMER" && span["parent"] == "")
                #expect(span["trace"] != publish["trace"])
                let link = span["links"]?.arrayValue?.first
                #expect(link?["trace"] == publish["trace"] && link?["span"] == publish["span"])
                #expect(span["attributes"]?["messaging.system"] == "sheaf")
                #expect(span["attributes"]?["messaging.operation.type"] == "process")
                #expect(span["attributes"]?["sheaf.batch.id"] == "t1")
                #expect(span["attributes"]?["sheaf.attempt"] == 1)
                #expect((span["end"]?.intValue ?? 0) > (span["start"]?.intValue ?? 0))
            }
            let outputs = try await bench.sheaf("results", "t1").lines.map { try JSON.parse($0)["output"]?.stringValue }
            let expected = processed.map { span in
                "00-\(span["trace"]?.stringValue ?? "")-\(span["span"]?.stringValue ?? "")-01 "
            }
            #expect(Set(outputs) == Set(expected))
            let failed = Self.spans(all, "name", "process sheaf.tasks.broken")
            #expect(failed.count == 3)
            for span in failed {
                #expect(span["status"] == "STATUS_CODE_ERROR")
                #expect(span["attributes"]?["error.type"] == "exit-code")
            }
        }
    }

    @Test("With 'context: parent', attempts belong to the trace in which the creation was started") func parents()
        async throws
    {
        let (parent, state) = ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")
        try await traced("context: parent") { bench, spans in
            try await bench.sheaf(
                ["create", "worker", "in.txt", "--format", "lines", "--batch-id", "w1"],
                environment: ["TRACEPARENT": parent, "TRACESTATE": state]
            )
            try await bench.sheaf("run", "--until-empty")
            let all = try await spans(4)
            for span in all {
                #expect(span["trace"] == "0af7651916cd43dd8448eb211c80319c" && span["state"] == "vendor=1")
            }
            let publish = try #require(Self.spans(all, "kind", "SPAN_KIND_PRODUCER").first)
            #expect(publish["parent"] == "b7ad6b7169203331")
            let processed = Self.spans(all, "kind", "SPAN_KIND_CONSUMER")
            #expect(processed.count == 3)
            for span in processed { #expect(span["parent"] == publish["span"]) }
            let outputs = try await bench.sheaf("results", "w1").lines.map { try JSON.parse($0)["output"]?.stringValue }
            let expected = processed.map {
                "00-0af7651916cd43dd8448eb211c80319c-\($0["span"]?.stringValue ?? "")-01"
            }
            #expect(Set(outputs) == Set(expected))
        }
    }

    @Test("Batches that are created and retried over HTTP belong to the traces of the requests") func overHTTP()
        async throws
    {
        try await traced("context: parent") { bench, spans in
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await bench.shell("exec $SHEAF serve --port 0 2> serve.log", limit: .seconds(120)) }
                let api = try await bench.address(in: "serve.log") + "/api/batches"
                let body = #"{"flow":"broken","batch_id":"h1","records":["a"]}"#
                let traces = ["0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"]
                let requests = [(api, body, traces[0]), (api + "/h1/retry", "", traces[1])]
                for (number, (url, body, trace)) in requests.enumerated() {
                    var request = HTTPClientRequest(url: url)
                    request.method = .POST
                    request.headers.add(name: "content-type", value: "application/json")
                    request.headers.add(name: "traceparent", value: "00-\(trace)-b7ad6b7169203331-01")
                    request.body = .bytes(ByteBuffer(string: body))
                    let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
                    #expect([201, 202].contains(answer.status.code))
                    try await bench.sheaf("run", "--until-empty")
                    let all = Self.spans(try await spans(2 * (number + 1)), "trace", .string(trace))
                    #expect(all.count == 2)
                    let publish = try #require(Self.spans(all, "name", "publish sheaf.tasks.broken").first)
                    #expect(publish["parent"] == "b7ad6b7169203331")
                    #expect(publish["attributes"]?["messaging.batch.message_count"] == 1)
                    #expect(
                        publish["attributes"]?["messaging.destination.name"]
                            == .string("sheaf.tasks.broken.h1.\(number)")
                    )
                    let process = try #require(Self.spans(all, "name", "process sheaf.tasks.broken").first)
                    #expect(process["parent"] == publish["span"])
                }
            }
        }
    }

    @Test("A retry records a span whose context its tasks carry") func laterTasks() async throws {
        try await traced { bench, spans in
            try await bench.sheaf("create", "broken", "in.txt", "--format", "lines", "--batch-id", "x1")
            try await bench.sheaf("run", "--until-empty")
            try await bench.sheaf("retry", "x1", "--index", "0")
            try await bench.sheaf("run", "--until-empty")
            let all = try await spans(6)
            for (generation, count) in [(0, 3), (1, 1)] {
                let queue = JSONValue.string("sheaf.tasks.broken.x1.\(generation)")
                let spans = all.filter { $0["attributes"]?["messaging.destination.name"] == queue }
                let publish = try #require(Self.spans(spans, "kind", "SPAN_KIND_PRODUCER").first)
                #expect(publish["attributes"]?["messaging.batch.message_count"] == .integer(count))
                let processed = Self.spans(spans, "kind", "SPAN_KIND_CONSUMER")
                #expect(processed.count == count)
                for span in processed { #expect(span["links"]?.arrayValue?.first?["span"] == publish["span"]) }
            }
        }
    }

    @Test("A batch that is not sampled has no spans, and its programs no context") func samples() async throws {
        try await traced("sample: 0%") { bench, spans in
            try await bench.sheaf("create", "traced", "in.txt", "--format", "lines", "--batch-id", "t1")
            try await bench.sheaf("run", "--until-empty")
            let outputs = try await bench.sheaf("results", "t1").lines.map { try JSON.parse($0)["output"] }
            #expect(outputs.count == 3 && outputs.allSatisfy { $0 == " " })
            #expect(try await spans(0).isEmpty)
        }
    }

    @Test("Without 'tracing', a context in the environment still reaches the programs") func passesOn() async throws {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        try await Workbench.with(configuration: Self.configuration) { bench in
            try bench.write("one\n", to: "in.txt")
            try await bench.sheaf(
                ["create", "traced", "in.txt", "--format", "lines"],
                environment: ["TRACEPARENT": parent, "TRACESTATE": "a=b"]
            )
            try await bench.sheaf("run", "--until-empty", environment: ["TRACEPARENT": "not this one"])
            let row = try await bench.sheaf("results", "last").json
            #expect(row["output"]?.stringValue == parent + " a=b")
        }
    }

    @Test("A collector that is away loses spans, and delays neither create nor run for long") func survivesAbsence()
        async throws
    {
        let configuration = "tracing: { endpoint: 'http://127.0.0.1:1' }\n" + Self.configuration
        try await Workbench.with(configuration: configuration) { bench in
            try bench.write("one\ntwo\n", to: "in.txt")
            let created = try await bench.sheaf("create", "traced", "in.txt", "--format", "lines", limit: .seconds(30))
            #expect(created.code == 0 && created.talk.contains("spans"), "\(created.talk)")
            let run = try await bench.sheaf("run", "--until-empty", limit: .seconds(30))
            #expect(run.code == 0, "\(run.talk)")
            #expect(try await bench.sheaf("results", "last").lines.count == 2)
        }
    }

    @Test("Adding spans never waits, and what does not fit is dropped and counted") func boundsQueue() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let exporter = SpanExporter(endpoint: "http://127.0.0.1:1", service: "test", logger: logger)
        let tracer = OTLPTracer(exporter: exporter)
        for _ in 0..<10_000 { tracer.startSpan("work", context: .topLevel).end() }
        #expect(exporter.dropped == 10_000 - 4_096)
    }

    @Test("The official classes decode every kind of value") func encodes() async throws {
        try await collecting { bench, endpoint, spans in
            let exporter = SpanExporter(endpoint: endpoint, service: "test", logger: Logger(label: "test"))
            let tracer = OTLPTracer(exporter: exporter)
            try await exporter.exporting {
                let span = tracer.startSpan("größer", context: .topLevel, ofKind: .client)
                span.attributes["int"] = -5
                span.attributes["large"] = Int64.max
                span.attributes["double"] = -2.5
                span.attributes["flag"] = true
                span.attributes["text"] = "\u{1F600}\n"
                span.attributes["ints"] = SpanAttribute.int64Array([1, -2, 300])
                span.attributes["texts"] = SpanAttribute.stringArray(["a", ""])
                span.recordError(FlowError(type: "t", message: "m"))
                span.setStatus(SpanStatus(code: .ok))
                span.end()
                span.end()
                span.attributes["late"] = 1
            }
            let all = try await spans(1)
            let span = try #require(all.first)
            #expect(
                span["name"] == "größer" && span["kind"] == "SPAN_KIND_CLIENT" && span["status"] == "STATUS_CODE_OK"
            )
            #expect(span["flags"] == 1)
            let attributes = try #require(span["attributes"])
            #expect(attributes["int"] == -5 && attributes["flag"] == true && attributes["text"] == "\u{1F600}\n")
            #expect(attributes["large"]?.text == "9223372036854775807")
            #expect(attributes["double"]?.text == "-2.5" && attributes["ints"] == [1, -2, 300])
            #expect(attributes["texts"] == ["a", ""] && attributes["late"] == nil)
            let event = span["events"]?.arrayValue?.first
            #expect(event?["name"] == "exception" && event?["attributes"]?["exception.type"] == "FlowError")
        }
    }

    @Test("The share of batches that are traced is what was asked for, and the same in every process")
    func decidesByBatch() {
        let names = (0..<20_000).compactMap { Name("1m7yqx4rf\($0)") }
        for share in [0, 0.01, 0.25, 1] {
            let traced = names.filter { BatchTraces.isSampled($0, share: share) }
            #expect(abs(Double(traced.count) / 20_000 - share) < 0.01, "\(share)")
        }
        #expect(BatchTraces.isSampled("b1", share: 0.5) == BatchTraces.isSampled("b1", share: 0.5))
    }

    @Test(
        "A traceparent is read as W3C Trace Context defines it",
        arguments: [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", true),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", nil),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", nil),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", nil),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", nil),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", nil),
            ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", nil),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", nil), ("", nil),
        ] as [(String, Bool?)]
    ) func parsesContext(text: String, isSampled: Bool?) throws {
        let context = TraceContext(traceParent: text)
        #expect(context?.isSampled == isSampled)
        if let context { #expect(context.traceParent == "00" + text.dropFirst(2).prefix(53)) }
    }

    @Test("A task carries its context through a message") func travelsInMessages() throws {
        let trace = try #require(
            TraceContext(traceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", traceState: "a=b")
        )
        let record = Record(id: "r", kind: .text, bytes: [])
        let task = BatchTask(flow: "words", batch: "b", index: 0, record: record, trace: trace)
        #expect(try BatchTask(task.message).trace == trace)
        #expect(task.message.string("traceparent") == trace.traceParent)
        #expect(BatchTask(flow: "words", batch: "b", index: 0, record: record).message.headers.count == 4)
    }

    /// Returns the spans with that value of a member.
    ///
    /// A function, because Swift 6.3 confuses closures inside `#expect` and `#require` with those beside them.
    private static func spans(_ all: [JSONValue], _ key: String, _ value: JSONValue) -> [JSONValue] {
        all.filter { $0[key] == value }
    }

    // MARK: A collector

    private typealias Spans = @Sendable (_ atLeast: Int) async throws -> [JSONValue]

    /// Runs the body with the flows above, whose batches are traced by a collector.
    private func traced(_ options: String = "", _ body: (Workbench, @escaping Spans) async throws -> Void) async throws
    {
        try await collecting { bench, endpoint, spans in
            let tracing = ["endpoint: '\(endpoint)'", options].filter { !$0.isEmpty }.joined(separator: ", ")
            try bench.write("tracing: { \(tracing) }\n" + Self.configuration, to: "sheaf.yaml")
            try bench.write("one\ntwo\nthree\n", to: "in.txt")
            try await body(bench, spans)
        }
    }

    /// Runs the body beside a collector.
    private func collecting(_ body: (Workbench, _ endpoint: String, @escaping Spans) async throws -> Void) async throws
    {
        try await Workbench.with(configuration: "") { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                let python = try await Collector.interpreter.value
                group.addTask {
                    try await bench.shell(
                        "exec \(python) \(Collector.script) spans.jsonl 2> collector.log",
                        limit: .seconds(120)
                    )
                }
                let endpoint = try await bench.address(in: "collector.log")
                try await body(bench, endpoint) { count in
                    try await bench.until("\(count) spans have arrived") {
                        try bench.lines(of: "spans.jsonl").count >= count
                    }
                    return try bench.lines(of: "spans.jsonl").map { try JSON.parse(String($0)) }
                }
            }
        }
    }
}

/// The collector's program, and a Python environment with the official classes of OpenTelemetry.
private enum Collector {
    private static let package = "opentelemetry-proto==1.38.0"
    private static let folder = #filePath.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    static let script = folder + "/collector.py"

    /// The interpreter, prepared at first use and kept in the build folder.
    static let interpreter = Task {
        let home = folder + "/../../.build/python-opentelemetry"
        let python = home + "/bin/python"
        try await Workbench.with(configuration: "") { bench in
            let run = try await bench.shell(
                """
                \(python) -c 'import opentelemetry.proto' 2> /dev/null || {
                    python3 -m venv --clear \(home)
                    \(python) -m pip install --quiet --disable-pip-version-check \(package)
                }
                """,
                limit: .seconds(180)
            )
            try #require(run.code == 0, "\(package) cannot be installed from PyPI: \(run.talk)")
        }
        return python
    }
}
