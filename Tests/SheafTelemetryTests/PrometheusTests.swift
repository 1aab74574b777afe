import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import SheafCore
import SheafTelemetry
import SheafTestTools
import Testing

@Suite("A real Prometheus") struct PrometheusTests {
    private static let configuration = """
        metrics: { batches: 3 }
        flows:
          words: { exec: ["wc", "-w"] }
          broken: { exec: ["false"], retries: 0 }
        """

    @Test("Prometheus scrapes a server and a worker, and knows their counts") func scrapes() async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            try bench.write("one\ntwo words\nthree\n", to: "in.txt")
            try await bench.sheaf("create", "words", "in.txt", "--format", "lines", "--batch-id", "w1")
            try await bench.sheaf("create", "broken", "in.txt", "--format", "lines", "--batch-id", "x1")
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await bench.shell("exec $SHEAF serve --port 0 2> serve.log", limit: .seconds(120)) }
                let server = try await bench.address(in: "serve.log")
                group.addTask { try await bench.shell("exec $SHEAF run --metrics :0 2> run.log", limit: .seconds(120)) }
                let worker = try await bench.address(in: "run.log")
                try await bench.until("the worker is ready") { try await bench.status(of: worker + "/readyz") == 200 }
                #expect(try await bench.status(of: worker + "/healthz") == 200)
                for batch in ["w1", "x1"] { try await bench.sheaf("wait", batch) }
                try await bench.checkMetrics(of: server, "server.txt", MetricCatalog.server)
                try await bench.checkMetrics(of: worker, "worker.txt", MetricCatalog.worker)

                let address = "127.0.0.1:\(try freePort())"
                try bench.write(
                    """
                    global: { scrape_interval: 1s }
                    scrape_configs:
                      - job_name: sheaf
                        static_configs: [{ targets: ["\(server.dropFirst(7))", "\(worker.dropFirst(7))"] }]
                    """,
                    to: "prometheus.yml"
                )
                group.addTask {
                    try await bench.shell(
                        """
                        exec prometheus --config.file=prometheus.yml --storage.tsdb.path=data \
                        --web.listen-address=\(address) 2> prometheus.log
                        """,
                        limit: .seconds(120)
                    )
                }
                for (query, value) in [
                    (#"sheaf_tasks_total{flow="words",status="succeeded"}"#, "3"),
                    (#"sheaf_tasks_total{flow="broken",status="failed"}"#, "3"),
                    (#"sheaf_task_attempts_total{flow="words",outcome="succeeded"}"#, "3"),
                    (#"sheaf_task_errors_total{flow="broken",error_type="exit-code"}"#, "3"),
                    (#"sum(sheaf_batches{status="completed"})"#, "2"),
                    ("count(up == 1)", "2"),
                    ("sum(sheaf_worker_slots)", "5"),
                ] {
                    try await bench.until("\(query) is \(value)") {
                        try await bench.answer(of: address, to: query) == value
                    }
                }
            }
        }
    }

    @Test("A port that is taken ends the worker with an error that names it") func reportsTakenPort() async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            let (socket, port) = try listen()
            defer { try? socket.close() }
            let run = try await bench.sheaf("run", "--until-empty", "--metrics", ":\(port)")
            #expect(run.code != 0)
            #expect(run.talk.contains("\(port)"), "\(run.talk)")
        }
    }

    @Test(
        "An address without a port, or with an invalid one, is refused",
        arguments: ["localhost", ":70000", "::1", ""]
    )
    func refusesAddress(text: String) async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            let run = try await bench.sheaf("run", "--until-empty", "--metrics", text)
            #expect(run.code == 64, "\(run.talk)")
        }
    }
}

/// Listens on a free port of the loopback interface.
private func listen() throws -> (socket: FileHandle, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            [bind(descriptor, pointer, size), Glibc.listen(descriptor, 1), getsockname(descriptor, pointer, &size)]
        }
    }
    try #require(status == [0, 0, 0])
    return (handle, Int(UInt16(bigEndian: address.sin_port)))
}

/// Returns a port that was free just now.
private func freePort() throws -> Int {
    let (socket, port) = try listen()
    try socket.close()
    return port
}

extension Workbench {
    /// Waits until a program has written its URL to a file; returns the URL without a path.
    func address(in file: String) async throws -> String {
        var address: Substring?
        try await until("\(file) has an address") {
            let text = (try? read(file)) ?? ""
            address = text.firstMatch(of: /http:\/\/127\.0\.0\.1:[0-9]+(?=[^0-9])/)?.output
            return address != nil
        }
        return String(try #require(address))
    }

    fileprivate func get(_ url: String) async throws -> HTTPClientResponse {
        try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(10))
    }

    fileprivate func status(of url: String) async throws -> UInt { try await get(url).status.code }

    /// Checks the output of `/metrics` with promtool, and that it has only metrics of the catalogue.
    fileprivate func checkMetrics(of address: String, _ file: String, _ catalog: [MetricDefinition]) async throws {
        let response = try await get(address + "/metrics")
        #expect(response.headers.first(name: "content-type") == PrometheusText.contentType)
        let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
        try write(text, to: file)
        let check = try await shell("promtool check metrics < \(file)")
        #expect(check.code == 0 && check.talk.isEmpty, "\(check.talk)\n\(text)")
        let names = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
        #expect(Set(names).isSubset(of: catalog.map { Substring($0.name) }), "\(names)")
        #expect(names.count > 8, "\(text)")
    }

    /// Asks Prometheus; returns nil if it has no answer yet.
    fileprivate func answer(of address: String, to query: String) async throws -> String? {
        let allowed = CharacterSet.alphanumerics
        let escaped = query.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
        guard let response = try? await get("http://\(address)/api/v1/query?query=\(escaped)"), response.status == .ok
        else { return nil }
        let json = try JSON.parse(Array(buffer: try await response.body.collect(upTo: 1 << 20)))
        return json["data"]?["result"]?.arrayValue?.first?["value"]?.arrayValue?.last?.stringValue
    }
}
