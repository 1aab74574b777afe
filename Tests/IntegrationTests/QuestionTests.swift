import Glibc
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Tasks that ask questions.
    @Suite struct QuestionTests {
        /// The open questions of the newest batch.
        private func questions(_ site: Site) async throws -> [String] {
            let run = try await site.sheaf("questions", "last", "--json")
            return try run.json.arrayValue?.compactMap { $0["question"]?.stringValue } ?? []
        }

        @Test("A question outlives its worker and the next worker gets the answer", arguments: BrokerKind.allCases)
        func anAnswerFromElsewhereSurvivesTheWorker(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let batch = try await site.create("asker", "-", "--interactive", input: "one\n")
                let task = "\(try #require(batch["batch_id"]?.stringValue)):0"
                let killed = try await site.sheaf("run") { number in
                    try await site.bench.until("the question is open") {
                        try await questions(site) == ["keep it?"]
                    }
                    kill(number, SIGKILL)
                }
                #expect(killed.code == 137)
                #expect(try await questions(site) == ["keep it?"], "the question outlives its worker")
                let wrong = try await site.sheaf("answer", task, "maybe")
                #expect(wrong.code == 64 && wrong.talk.contains("yes, no"), "\(wrong.talk)")
                #expect(try await site.sheaf("answer", task, "yes").code == 0)
                let late = try await site.sheaf("answer", task, "no")
                #expect(late.code == 4 && late.talk.contains("already has the answer 'yes'"), "\(late.talk)")
                let run = try await site.sheaf("run", "--until-empty") { _ in
                    try await site.bench.until("the second question is open") { try await questions(site) == ["why?"] }
                    #expect(try await site.sheaf("answer", task, "it is good").code == 0)
                }
                #expect(run.code == 0, "\(run.talk)")
                let rows = try await site.complete(BatchCounts(succeeded: 1))
                #expect(rows[0]["output"] == ["yes", "it is good"])
                #expect(try await questions(site).isEmpty)
            }
        }

        @Test("A task that asks in a batch that is not interactive fails", arguments: BrokerKind.allCases)
        func aBatchThatIsNotInteractiveFailsThem(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("asker", "-", input: "one\n")
                #expect(try await site.sheaf("run", "--until-empty").code == 0)
                let rows = try await site.complete(BatchCounts(failed: 1))
                #expect(rows[0]["error"]?["type"] == "not-interactive")
            }
        }
    }
}
