import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// The main job, from input to results, with three workers at once.
    @Suite struct MainJobTests {
        @Test("10,000 records go from input to results, in random order and each once", arguments: BrokerKind.allCases)
        func tenThousandRecords(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 10_000
                let records = (0..<total).map { #"{"id":"r\#($0)","n":\#($0)}"# }
                try site.bench.write(records.joined(separator: "\n"), to: "in.jsonl")
                let created = try await site.create("echo", "in.jsonl", "--seed", "7")
                #expect(created["total"]?.intValue == total)
                #expect(created["flow"] == "echo")
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                let status = try await site.status()
                #expect(status.json["status"] == "completed")
                #expect(status.counts == BatchCounts(succeeded: total))
                // The rows are compared as strings up to the part that differs between runs: parsing 10,000 of them is
                // slow.
                let id = created["batch_id"]?.stringValue ?? ""
                let rows = try await site.sheaf("results", "last", "--ordered").lines
                let wrong = zip(rows.indices, rows).filter { number, row in
                    let task = #""index":\#(number),"record_id":"r\#(number)","status":"succeeded""#
                    return !row.hasPrefix(#"{"batch_id":"\#(id)",\#(task),"output":\#(records[number]),"error":null,"#)
                }
                #expect(rows.count == total)
                #expect(wrong.isEmpty)
                // The tasks ran in an order other than that of the input.
                let first = try await site.bench.shell("$SHEAF results last | head -n 100").lines.map {
                    try JSON.parse($0)
                }
                #expect(first.contains { $0["index"]?.intValue ?? 0 >= total / 2 })
                let workers = try await site.bench.shell(#"$SHEAF results last | grep -o '"worker":.*' | sort -u"#)
                #expect(workers.lines.count > 1)
                // The same seed takes the same sample.
                var samples: [[String]] = []
                for seed in ["7", "7"] {
                    try await site.create("echo", "in.jsonl", "--seed", seed, "--max-records", "50")
                    #expect(try await site.sheaf("run", "--until-empty").code == 0)
                    let rows = try await site.complete(BatchCounts(succeeded: 50))
                    samples.append(rows.compactMap { $0["record_id"]?.stringValue })
                }
                #expect(samples[0] == samples[1])
                #expect(samples[0] != (0..<50).map { "r\($0)" })
            }
        }

        @Test("CSV with quotes, line breaks and a byte order mark arrives unchanged", arguments: BrokerKind.allCases)
        func commaSeparated(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 2000
                var table = "\u{FEFF}id,text,n\r\n"
                for number in 0..<total {
                    table += "r\(number),\"says \"\"\(number)\"\",\r\nand leaves\",\(number)\r\n"
                }
                try site.bench.write(table, to: "in.csv")
                try await site.create("echo", "in.csv", "--seed", "1")
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                for row in try await site.complete(BatchCounts(succeeded: total)) {
                    let number = row["record_id"]?.stringValue?.dropFirst() ?? ""
                    #expect(row["output"]?["text"]?.stringValue == "says \"\(number)\",\r\nand leaves")
                }
            }
        }

        @Test("Each file of a folder is a record", arguments: BrokerKind.allCases)
        func folderOfFiles(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                for number in 1...60 {
                    let words = Array(repeating: "word", count: number).joined(separator: "\n")
                    try site.bench.write(words, to: "texts/\(number).txt")
                }
                try await site.create("words", "texts")
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                let rows = try await site.complete(BatchCounts(succeeded: 60))
                #expect(rows.compactMap { $0["output"]?.intValue }.sorted() == Array(1...60))
                for row in rows {
                    let name = "\(row["output"]?.intValue ?? 0).txt"
                    #expect(row["record_id"]?.stringValue?.hasSuffix(name) == true)
                }
            }
        }

        @Test("Records are read from standard input", arguments: BrokerKind.allCases)
        func standardInput(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let input = (0..<1000).map { "line \($0)\n" }.joined()
                try await site.create("echo", "-", "--no-shuffle", input: input)
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                let rows = try await site.complete(BatchCounts(succeeded: 1000))
                #expect(rows.compactMap { $0["output"]?.stringValue } == (0..<1000).map { "line \($0)" })
            }
        }

        @Test("--max-records and -n are exact", arguments: BrokerKind.allCases)
        func limits(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let input = (0..<500).map { "line \($0)\n" }.joined()
                let created = try await site.create("echo", "-", "--max-records", "300", input: input)
                #expect(created["total"] == 300)
                for (limit, settled) in [(1, 1), (57, 58), (100, 158)] {
                    let run = try await site.sheaf("run", "-n", "\(limit)")
                    #expect(run.code == 0)
                    #expect(run.talk.contains("ran \(limit) task"), "\(run.talk)")
                    #expect(try await site.status().counts == BatchCounts(pending: 300 - settled, succeeded: settled))
                    #expect(try await site.rows().count == settled)
                }
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                try await site.complete(BatchCounts(succeeded: 300))
            }
        }
    }
}
