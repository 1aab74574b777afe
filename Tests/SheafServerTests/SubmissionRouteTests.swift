import Sheaf
import SheafBatches
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@Suite("API: submissions") struct SubmissionRouteTests {
    @Test("The submissions of a batch are listed", arguments: BrokerKind.allCases)
    func submissions(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let batch = try await api.client.create(plan { $0.id = "one" }, records: records(1))
            let other = try await api.client.create(plan { $0.id = "two" }, records: records(1))
            func write(_ event: SubmissionEntry.Event, of batch: Name) async throws {
                let entry = SubmissionEntry(
                    key: "key-\(batch)",
                    batch: batch,
                    flow: "work",
                    at: .now,
                    by: "w",
                    event: event
                )
                try await api.client.broker.append(entry.message, to: api.client.names.submissions)
            }
            #expect(try await api.get("batches/one/submissions")["submissions"] == [])
            try await write(.announced(address: "http://127.0.0.1/v1"), of: batch.id)
            try await write(.announced(address: "http://127.0.0.1/v1"), of: other.id)
            try await write(.created(id: "batch_1", requests: 1), of: batch.id)
            let found = try #require(try await api.get("batches/one/submissions")["submissions"]?.arrayValue)
            #expect(found.count == 1 && found.first?["id"] == "batch_1" && found.first?["state"] == "running")
            try await write(.unclear("no answer"), of: other.id)
            let unclear = try await api.get("batches/two/submissions")["submissions"]?.arrayValue?.first
            #expect(unclear?["state"] == "unclear" && unclear?["id"] == .null && unclear?["message"] == "no answer")
            _ = try await api.client.resolveSubmission("key-two", as: .notCreated, by: "anna")
            let decided = try await api.get("batches/two/submissions")["submissions"]?.arrayValue?.first
            #expect(decided?["resolution"] == ["id": nil])
            #expect(try await api.get("batches/three/submissions").status == 404)
            _ = try await api.client.cancel("one", now: true)
            try await until("the batch has ended") {
                try await api.get("batches/one/submissions")["submissions"]?.arrayValue?.first?["state"] == "abandoned"
            }
        }
    }
    @Test("A submission is shown, cancelled and decided about, once", arguments: BrokerKind.allCases)
    func decisions(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let batch = try await api.client.create(plan { $0.id = "one" }, records: records(1))
            for (key, event) in [
                ("lost", SubmissionEntry.Event.unclear("no answer")), ("found", .unclear("no answer")),
                ("running", .created(id: "batch_1", requests: 1)),
            ] {
                for event in [.announced(address: "http://127.0.0.1/v1"), event] {
                    let entry = SubmissionEntry(
                        key: key,
                        batch: batch.id,
                        flow: "work",
                        at: .now,
                        by: "w",
                        event: event
                    )
                    try await api.client.broker.append(entry.message, to: api.client.names.submissions)
                }
            }
            let all = try #require(try await api.get("submissions")["submissions"]?.arrayValue)
            #expect(all.compactMap { $0["key"]?.stringValue } == ["lost", "found", "running"])
            #expect(try await api.get("submissions/batch_1")["key"] == "running")
            #expect(try await api.get("submissions/nothing").status == 404)
            for (path, body, status, word) in [
                ("nothing/cancel", ["by": nil] as JSONValue, 404, "'nothing'"),
                ("nothing/resolve", ["not_created": true], 404, "'nothing'"),
                ("running/resolve", ["not_created": true], 409, "running"),
                ("lost/resolve", ["by": "anna"], 400, "not_created"),
                ("lost/resolve", ["id": "x", "not_created": true], 400, "not_created"),
                ("lost/resolve", ["id": "x y"], 400, "'x y'"),
                ("lost/resolve", ["id": 5], 400, "'id'"),
                ("lost/resolve", ["ID": "x"], 400, "'ID'"),
            ] {
                let answer = try await api.send("POST", "submissions/\(path)", body)
                #expect(answer.status == status && answer.detail.contains(word), "\(path): \(answer.detail)")
            }
            let cancelled = try await api.send("POST", "submissions/running/cancel", ["by": "anna"])
            #expect(cancelled.status == 200 && cancelled["cancelled_by"] == "anna")
            let lost = try await api.send("POST", "submissions/lost/resolve", ["not_created": true])
            #expect(lost.status == 200 && lost["resolution"] == ["id": nil])
            let found = try await api.send("POST", "submissions/found/resolve", ["id": "batch_7"])
            #expect(found.status == 200 && found["resolution"] == ["id": "batch_7"])
        }
    }
}
