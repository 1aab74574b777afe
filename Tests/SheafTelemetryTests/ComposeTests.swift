import Foundation
import SheafCore
import SheafTelemetry
import SheafTestTools
import Testing

@Suite("Files for Prometheus and Grafana") struct ComposeTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("compose").path

    @Test("promtool accepts the configuration of Prometheus and the alert rules") func promtoolAccepts() async throws {
        try await Workbench.with(configuration: "") { bench in
            let prometheus = Self.folder + "/prometheus"
            let rules = try await bench.shell("promtool check rules --lint=all \(prometheus)/alerts.yml")
            #expect(rules.code == 0, "\(rules.talk)\(rules.output)")
            let configuration = try await bench.shell(
                "promtool check config --syntax-only \(prometheus)/prometheus.yml"
            )
            #expect(configuration.code == 0, "\(configuration.talk)\(configuration.output)")
        }
    }

    @Test("The alert for missing workers fires after ten minutes, and not while tasks wait for a limit") func fires()
        async throws
    {
        try await Workbench.with(configuration: "") { bench in
            try bench.write(
                """
                rule_files: ["\(Self.folder)/prometheus/alerts.yml"]
                evaluation_interval: 1m
                tests:
                  - interval: 1m
                    input_series:
                      - { series: 'sheaf_build_info{instance="a"}', values: '1x30' }
                      - { series: 'sheaf_tasks_waiting{flow="words",instance="a"}', values: '7x30' }
                      - { series: 'sheaf_tasks_limited{flow="words",instance="a"}', values: '0x30' }
                      - { series: 'sheaf_tasks_running{flow="words",instance="a"}', values: '0x30' }
                      - { series: 'sheaf_tasks_waiting{flow="slow",instance="a"}', values: '7x30' }
                      - { series: 'sheaf_tasks_limited{flow="slow",instance="a"}', values: '7x30' }
                      - { series: 'sheaf_tasks_running{flow="slow",instance="a"}', values: '0x30' }
                    alert_rule_test:
                      - eval_time: 5m
                        alertname: SheafNoWorker
                        exp_alerts: []
                      - eval_time: 15m
                        alertname: SheafNoWorker
                        exp_alerts:
                          - exp_labels: { severity: critical, flow: words }
                            exp_annotations:
                              summary: Tasks of flow words wait, and no worker runs any
                              description: 7 tasks wait. Start a worker that knows the flow (sheaf run --flow words).
                """,
                to: "test.yml"
            )
            let run = try await bench.shell("promtool test rules test.yml")
            #expect(run.code == 0, "\(run.talk)\(run.output)")
        }
    }

    @Test(
        "The dashboard and the alerts use only metrics that exist",
        arguments: [
            "grafana/dashboards/sheaf.json", "prometheus/alerts.yml",
        ]
    ) func namesExist(file: String) throws {
        let text = try String(contentsOfFile: Self.folder + "/" + file, encoding: .utf8)
        var known: Set<String> = ["sheaf_token"]
        for metric in MetricCatalog.worker + MetricCatalog.server {
            known.insert(metric.name)
            if metric.kind == .histogram { known.formUnion(["_bucket", "_sum", "_count"].map { metric.name + $0 }) }
        }
        let used = Set(text.matches(of: /sheaf_[a-z_]+/).map { String($0.output) })
        #expect(used.count > 8)
        #expect(used.subtracting(known).isEmpty)
    }

    @Test("The dashboard is JSON whose panels have queries and different places") func dashboardIsSound() throws {
        let json = try JSON.parse(
            Array(try Data(contentsOf: URL(fileURLWithPath: Self.folder + "/grafana/dashboards/sheaf.json")))
        )
        let panels = try #require(json["panels"]?.arrayValue)
        var taken: Set<[Int]> = []
        for panel in panels {
            let place = try #require(panel["gridPos"])
            let (x, y, w, h) = (
                try #require(place["x"]?.intValue), try #require(place["y"]?.intValue),
                try #require(place["w"]?.intValue), try #require(place["h"]?.intValue)
            )
            for column in x..<x + w {
                for row in y..<y + h { #expect(taken.insert([column, row]).inserted, "\(panel["title"] ?? .null)") }
            }
            if panel["type"] != "row" {
                #expect(panel["targets"]?.arrayValue?.isEmpty == false)
                #expect(panel["description"]?.stringValue?.isEmpty == false)
            }
        }
        #expect(panels.count > 20)
    }

    @Test("Worker and server have no metric in common") func sharesNoName() {
        let (worker, server) = (MetricCatalog.worker.map(\.name), MetricCatalog.server.map(\.name))
        #expect(Set(worker).isDisjoint(with: server))
        #expect(Set(worker + server).count == worker.count + server.count)
    }
}
