import OrderedCollections
import Sheaf
import SheafCore
import SheafFlows
import SheafServer
import SheafSettings
import SheafTestSupport
import Testing

@Suite("API: workers, flows and scaling") struct WorkerRouteTests {
    @Test("Workers are listed with what they run, also while they are idle", arguments: BrokerKind.allCases)
    func workers(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let gate = Gate()
            let flow = try FlowDefinition.work { _ in
                await gate.wait()
                return .text("done")
            }
            func worker() async throws -> JSONValue? { try await api.get("workers")["workers"]?.arrayValue?.first }
            #expect(try await api.get("workers")["workers"] == [])
            let working = Task {
                try await api.stage.work([flow]) {
                    $0.untilEmpty = false
                    $0.name = "anna"
                    $0.concurrency = 3
                }
            }
            defer { working.cancel() }
            try await until("an idle worker is listed") { try await worker() != nil }
            let idle = try await worker()
            #expect(idle?["worker"] == "anna" && idle?["slots"] == 3 && idle?["busy"] == 0 && idle?["batches"] == [])
            #expect(idle?["flows"] == ["work"] && idle?["host"]?.stringValue?.isEmpty == false)

            let batch = try await api.client.create(plan(), records: records(5))
            try await until("it runs three tasks") { try await worker()?["busy"] == 3 }
            let busy = try await worker()?["batches"]?.arrayValue?.first
            #expect(busy?["batch_id"] == .string(batch.id.text) && busy?["flow"] == "work" && busy?["running"] == 3)
            let tasks = try #require(busy?["tasks"]?.arrayValue)
            #expect(tasks.count == 3 && tasks.allSatisfy { $0["since"]?.stringValue.flatMap { Timestamp($0) } != nil })

            let flows = try await api.get("flows")["flows"]?.arrayValue
            let work = flows?.first { $0["flow"] == "work" }
            #expect(work?["workers"] == 1 && work?["configured"] == false && work?["open_batches"] == 1)
            await gate.open()
            try await until("all tasks end") { try await api.get("batches/\(batch.id)")["status"] == "completed" }
            working.cancel()
            _ = await working.result
            try await until("a worker that has left is not listed", limit: .seconds(5)) { try await worker() == nil }
        }
    }

    @Test("Flows of the configuration are listed with their kind and without their values")
    func flows() async throws {
        let folder = try Settings.load(environment: [:], directory: "/")
        try await APIStage.with(.embedded, { $0.flows = Array(folder.flows.values) }) { api in
            let echo: JSONValue = ["flow": "echo", "kind": "echo", "configured": true, "workers": 0, "open_batches": 0]
            let flows = try await api.get("flows")["flows"]
            #expect(flows == [echo])
        }
    }

    @Test("Scaling has a number for every flow, and counts only what a worker could do", arguments: BrokerKind.allCases)
    func scaling(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            func load(_ query: String = "flow=work") async throws -> JSONValue {
                let answer = try await api.get("scaling?\(query)")
                #expect(answer.status == 200)
                return answer.json
            }
            func work(_ name: String) async throws -> Int? { try await load()["flows"]?["work"]?[name]?.intValue }
            let nothing: JSONValue = [
                "waiting": 0, "running": 0, "delayed": 0, "leased": 0, "desired": 0, "oldest_seconds": 0.0,
            ]
            let both = try await load("flow=work&flow=%20strange")
            #expect(both == ["flows": ["work": nothing, " strange": nothing], "desired": 0])
            let batch = try await api.client.create(plan(), records: records(6))
            let path = "batches/\(batch.id)"
            try await until("all tasks wait") { try await work("waiting") == 6 }
            #expect(try await load("")["desired"] == 6)
            let age = try await load()["flows"]?["work"]?["oldest_seconds"]?.doubleValue ?? 0
            #expect(age > 0)
            _ = try await api.send("PATCH", path, ["max_running": 2])
            #expect(try await work("waiting") == 2, "the limit of the batch holds the others back")
            _ = try await api.send("POST", path + "/pause")
            #expect(try await load()["flows"]?["work"] == nothing)
            _ = try await api.send("POST", path + "/resume")
            _ = try await api.send("PATCH", path, ["max_running": nil])

            // A task that waits for its next attempt, soon and later.
            for (delay, desired) in [(Duration.seconds(20), 6), (.seconds(3600), 5)] {
                let task = BatchTask(
                    flow: batch.flow,
                    batch: batch.id,
                    index: 0,
                    record: Record(id: "r0", kind: .json, bytes: Array("{}".utf8))
                )
                let entry = ResultMessage.delayed(task, for: delay)
                try await api.client.broker.append(entry, to: api.client.names.results(batch: batch.id))
                try await until("the delay is counted") {
                    let load = try await load()["flows"]?["work"]
                    return load?["delayed"] == 1 && load?["waiting"] == 5 && load?["desired"]?.intValue == desired
                }
            }
            _ = try await api.send("DELETE", path)
            try await until("a cancelled batch needs no worker") { try await load()["flows"]?["work"] == nothing }
            #expect(try await api.get("scaling?flows=work").status == 400)
        }
    }
}
