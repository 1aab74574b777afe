import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("API: questions and dead letters") struct QuestionRouteTests {
    @Test("Open questions are listed and answered", arguments: BrokerKind.allCases)
    func questions(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let flow = try FlowDefinition.work { task in
                guard let asker = task.asker else { throw FlowError(type: "not-interactive", message: "no asker") }
                let first = try await asker.ask(Question("Keep it?", choices: ["yes", "no"]))
                let second = try await asker.ask(Question("And why?"))
                return .text("\(first): \(second)")
            }
            let batch = try await api.client.create(plan { $0.options.isInteractive = true }, records: records(1))
            let plain = try await api.client.create(plan { $0.id = "plain" }, records: records(1))
            async let working = api.stage.work([flow]) { $0.batch = batch.id }
            try await until("a question is asked") {
                try await api.get("questions")["questions"]?.arrayValue?.count == 1
            }
            let open = try #require(try await api.get("questions")["questions"]?.arrayValue?.first)
            #expect(open["task_id"] == .string("\(batch.id):0") && open["number"] == 1)
            #expect(open["choices"] == ["yes", "no"])
            #expect(try await api.get("questions?batch=\(batch.id)")["questions"]?.arrayValue == [open])
            #expect(try await api.get("questions?batch=\(plain.id)").status == 409)
            #expect(try await api.get("questions?batch=missing").status == 404)

            let path = "questions/\(batch.id):0"
            #expect(try await api.send("POST", path, ["answer": "perhaps"]).detail.contains("yes, no"))
            #expect(try await api.send("POST", path, ["reply": "yes"]).detail.contains("'reply'"))
            #expect(try await api.send("POST", path, [:]).status == 400)
            #expect(try await api.send("POST", "questions/\(batch.id):7", ["answer": "yes"]).status == 404)
            let answer = try await api.send("POST", path, ["answer": "yes", "by": "anna", "number": 1])
            #expect(answer.status == 200 && answer["answer"] == "yes" && answer["question"] == "Keep it?")
            try await until("the second question is asked") {
                try await api.get("questions")["questions"]?.arrayValue?.first?["number"] == 2
            }
            let stale = try await api.send("POST", path, ["answer": "yes", "number": 1])
            #expect(stale.status == 409 && stale.detail.contains("question 2"))
            #expect(try await api.send("POST", path, ["answer": "because"]).status == 200)
            _ = try await working
            #expect(try await api.client.allResults(batch.id).first?.output == Array(#""yes: because""#.utf8))
            #expect(try await api.get("questions")["questions"] == [])
        }
    }

    @Test("Dead letters are listed, shown, requeued and cleared", arguments: BrokerKind.allCases)
    func deadLetters(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let (client, junk) = (api.client, Message(id: "j", type: "junk", body: Array("body".utf8)))
            let batch = try await client.create(plan(), records: records(1))
            try await client.runByHand(batch, atMost: 1)
            try await until("its queue is gone or stays") { try await api.get("batches/\(batch.id)").status == 200 }
            #expect(try await api.get("dead").json == ["dead": [], "count": 0, "next": nil])
            let open = try await client.create(plan { $0.options.isInteractive = false }, records: records(1))
            let queue = client.names.tasks(flow: open.flow, batch: open.id, generation: 0)
            try await client.runByHand(open, atMost: 0)
            _ = try await api.send("POST", "batches/\(open.id)/pause")
            #expect(try await client.bury([junk, junk, junk], in: open) == 1)
            try await until("three dead letters") { try await api.get("dead")["count"] == 3 }
            let page = try await api.get("dead?limit=2")
            let letters = try #require(page["dead"]?.arrayValue)
            #expect(letters.count == 2 && letters.allSatisfy { $0["type"] == "junk" && $0["preview"] == "body" })
            let after = try #require(page["next"]?.stringValue)
            let second = try await api.get("dead?limit=2&after=\(after)")
            #expect(second["dead"]?.arrayValue?.count == 1 && second["next"] == .some(.null))

            let number = try #require(letters[0]["number"]?.intValue)
            #expect(try await api.get("dead/\(number)")["body"] == "body")
            #expect(try await api.get("dead/99999").status == 404)
            #expect(try await api.get("dead/x").status == 404)
            let back = try await api.send("POST", "dead/\(number)/requeue")
            #expect(back["requeued"] == true && back["queue"] == .string(queue))
            #expect(try await api.get("dead")["count"] == 2)
            #expect(try await api.send("POST", "dead/requeue")["dead"]?.arrayValue?.count == 2)
            #expect(try await api.send("DELETE", "dead")["purged"] == 0)
        }
    }
}
