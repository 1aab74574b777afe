import Sheaf
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("API: control") struct ControlTests {
    @Test("A batch is paused, resumed, changed, cancelled and deleted", arguments: BrokerKind.allCases)
    func control(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let batch = try await api.client.create(plan(), records: records(4))
            let path = "batches/\(batch.id)"
            let paused = try await api.send("POST", path + "/pause")
            #expect(paused.status == 200 && paused["changed"] == true && paused["status"] == "paused")
            #expect(try await api.get(path)["status"] == "paused", "the server sees its own change at once")
            #expect(try await api.send("POST", path + "/pause")["changed"] == false)
            #expect(try await api.send("POST", path + "/resume")["changed"] == true)

            #expect(try await api.send("PATCH", path, ["max_running": 2])["max_running"] == 2)
            #expect(try await api.send("PATCH", path, ["concurrency": 3])["max_running"] == 3)
            #expect(try await api.get(path)["max_running"] == 3)
            #expect(try await api.send("PATCH", path, ["max_running": nil])["max_running"] == .some(.null))
            for (body, word) in [
                (["max_runing": 1] as JSONValue, "'max_runing'"), ([:], "nothing"),
                (["max_running": "many"], "integer"), (["max_running": 0], "max_running 0"),
                (["max_running": 100_001], "max_running 100001"),
                (["max_running": 1, "concurrency": 1], "same"),
            ] {
                let answer = try await api.send("PATCH", path, body)
                #expect(answer.status == 400 && answer.detail.contains(word), "\(body.text): \(answer.json.text)")
            }

            let early = try await api.send("DELETE", path + "/data")
            #expect(early.status == 409 && early.detail.contains("has not ended"))
            #expect(try await api.send("DELETE", path + "?nwo=true").status == 400)
            #expect(try await api.send("DELETE", path)["status"] == "cancelled")
            try await until("it ends") { try await api.get(path)["counts"]?["cancelled"] == 4 }
            try await until("its end is final") {
                try await api.send("POST", path + "/cancel?now=true").status == 409
            }
            #expect(try await api.send("POST", path + "/resume").status == 409)
            #expect(try await api.send("POST", path + "/retry").status == 409)
            #expect(try await api.send("DELETE", path + "/data")["deleted"] == true)
            #expect(try await api.get(path).status == 404)
            #expect(try await api.send("DELETE", path + "/data")["was_deleted"] == true)
            #expect(try await api.send("DELETE", "batches/missing").status == 404)
        }
    }

    @Test("Failed tasks are retried by number, by filter, and all", arguments: BrokerKind.allCases)
    func retry(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            // Tasks fail with three types of error as long as the gate is closed.
            let gauge = Gauge()
            let flow = try FlowDefinition.work { task in
                guard await gauge.now == 0 else { return .text("fixed") }
                switch task.index % 3 {
                case 0: throw FlowError(type: "odd", message: "wheel \(task.index) is broken")
                case 1: throw FlowError(type: "even", message: "door \(task.index) is closed")
                default: return .text("good")
                }
            }
            let batch = try await api.client.create(plan(), records: records(9))
            let path = "batches/\(batch.id)"
            try await api.stage.work([flow])
            try await until("it ends") { try await api.get(path)["counts"]?["failed"] == 6 }
            await gauge.enter()

            for (body, word) in [
                (["indexes": []] as JSONValue, "not empty"), (["indexes": ["x"]], "task numbers"),
                (["filter": ["status": "failed"], "indexes": [1]], "both"),
                (["filter": ["status": "succeeded"]], "failed"), (["filter": ["error_type": "odd"]], "status"),
                (["filter": ["status": "failed", "colour": "red"]], "'colour'"), (["index": 3], "'index'"),
                (["filter": 3], "object"),
            ] {
                let answer = try await api.send("POST", path + "/retry", body)
                #expect(answer.status == 400 && answer.detail.contains(word), "\(body.text): \(answer.json.text)")
            }
            #expect(try await api.send("POST", path + "/retry", ["indexes": [99]]).status == 404)
            func retry(_ filter: JSONValue) async throws -> APIStage.Answer {
                try await api.send("POST", path + "/retry", ["filter": filter])
            }
            let none = try await retry(["status": "failed", "error_type": "new"])
            #expect(none.status == 202 && none["retried"] == 0 && none["generation"] == 0)

            let numbers = try await api.send("POST", path + "/retry", ["indexes": [0, "1-2"]])
            #expect(numbers.status == 202 && numbers["retried"] == 2 && numbers["left_out"]?["not_failed"] == 1)
            #expect(numbers["generation"] == 1)
            let doors = try await retry(["status": "failed", "q": "DOOR 7"])
            #expect(doors["retried"] == 1)
            let odd = try await retry(["status": "failed", "error_type": "odd"])
            #expect(odd["retried"] == 2 && odd["generation"] == 3)
            let rest = try await api.send("POST", path + "/retry")
            #expect(rest["retried"] == 1 && rest["generation"] == 4)
            try await until("all retried tasks are pending") { try await api.get(path)["counts"]?["pending"] == 6 }
            try await api.stage.work([flow])
            try await until("all succeed") { try await api.get(path)["counts"]?["succeeded"] == 9 }
        }
    }
}
