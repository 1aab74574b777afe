import SheafBatches
import SheafCore
import SheafServer
import Testing

@Suite("Creating a batch from JSON") struct CreateTests {
    @Test("Records, options and tags of a JSON body arrive unchanged") func json() async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(
                """
                {"flow": "echo", "shuffle": false, "concurrency": 3, "error_policy": "stop:2", "interactive": true,
                 "tags": {"customer": "a & b <i>", "run": "7"}, "batch_id": "b1", "max_records": 3, "pilot": 2,
                 "pilot_pass": "95%",
                 "records": [{"id": "x", "html": "<script>alert(1)</script>", "n": 12345678901234567890, "f": 1.50},
                   {"id": "y",
                    "text": "a\\nb"}, "plain", {"id": "left out"}]}
                """
            )
            #expect(response.status == 201, "\(response.body)")
            #expect(response.headers["location"] == "/api/batches/b1")
            let json = try response.json
            #expect(json["batch_id"] == "b1" && json["total"] == 3 && json["invalid"] == 0 && json["sealed"] == true)
            #expect(json["tags"] == ["customer": "a & b <i>", "run": "7"])
            #expect(try await bench.send("GET", "/api/batches/b1").json["tags"] == json["tags"])
            let options = try #require(try await bench.batches().first).options
            #expect(options.maxRunning == 3 && options.errorPolicy == .stop(above: 2) && options.isInteractive)
            #expect(options.pilot == Pilot(tasks: 2, pass: 95))
            #expect(json["pilot"]?["state"] == "running" && json["pilot"]?["pass"] == "95%", "\(json)")
            #expect(options.maxRecords == 3 && options.seed == nil && options.tags["run"] == "7")
            let tasks = try await bench.tasks(of: response)
            #expect(tasks.map(\.record.id) == ["x", "y"], "the third waits for the end of the pilot")
            #expect(
                tasks.map { String(decoding: $0.record.bytes, as: UTF8.self) } == [
                    #"{"id": "x", "html": "<script>alert(1)</script>", "n": 12345678901234567890, "f": 1.50}"#,
                    #"{"id": "y",     "text": "a\nb"}"#,
                ]
            )
        }
    }

    @Test("The names flow_name and flow_parameters mean flow and parameters; a list makes a task for each element")
    func aliases() async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(
                #"{"flow_name":"echo","flow_parameters":{"lang":["de","fr"],"n":1},"records":[{"id":1}],"seed":7}"#
            )
            #expect(response.status == 201, "\(response.body)")
            #expect(try response.json["total"] == 2)
            #expect(try await bench.batches().first?.options.seed == 7)
            let tasks = try await bench.tasks(of: response)
            #expect(tasks.map(\.parameters) == [#"{"lang":"de","n":1}"#, #"{"lang":"fr","n":1}"#])
        }
    }

    @Test(
        "Identical records are published once",
        arguments: [("true", 2, 1), ("[\"n\",\"m\"]", 1, 2), ("false", 3, 0), ("null", 3, 0)]
    )
    func twins(rule: String, tasks: Int, twins: Int) async throws {
        try await ServerTestBench.creating { bench in
            let body = #"{"flow":"echo","dedupe":\#(rule),"records":[{"id":1,"n":1},{"n":1,"id":2},{"n":1,"a":1}]}"#
            let preview = try await bench.create(body.replacing("{\"flow\"", with: "{\"dry_run\":true,\"flow\""))
            #expect(try preview.json["twins"] == .integer(twins), "\(preview.body)")
            let response = try await bench.create(body)
            #expect(response.status == 201, "\(response.body)")
            #expect(try response.json["total"] == 3 && response.json["twins"] == .integer(twins))
            #expect(try await bench.tasks(of: response).count == tasks)
            let jobs = try await bench.send("GET", "\(response.headers["location"] ?? "")/jobs").json["jobs"]
            #expect(jobs?.arrayValue?.count { $0["same_as"] != .null } == twins, "\(String(describing: jobs))")
        }
    }

    @Test(
        "A request that is wrong is refused with its place, and creates nothing",
        arguments: [
            (#"{"flow":"echo","recrods":[]}"#, 422, "unknown member 'recrods'; did you mean 'records'?"),
            (#"{"flow":"echo","zzzz":1}"#, 422, "known members are flow, records, source,"),
            (
                #"{"flow":"ecko","records":[1]}"#, 422,
                "flow: unknown flow 'ecko'; the server's flows: own, piped, echo; did you"
            ),
            (#"{"records":[1]}"#, 422, "flow: it is missing"), ("", 422, "flow: it is missing"),
            (#"{"flow":"echo","flow_name":"echo","records":[1]}"#, 422, "flow_name: it is given twice, also as 'flow'"),
            (#"{"flow":"echo","records":[]}"#, 422, "has no records"),
            (#"{"flow":"echo","records":{"a":1}}"#, 422, "records: it must be an array"),
            (#"{"flow":"echo"}"#, 422, "records: they are missing, and flow 'echo' has no source"),
            (#"{"flow":"piped"}"#, 422, "records: they are missing, and flow 'piped' has no source"),
            (#"{"flow":"own","source":"/etc/passwd"}"#, 422, "source: it must be true"),
            (#"{"flow":"own","source":true,"records":[1]}"#, 422, "source: it cannot be combined"),
            (#"{"flow":"echo","records":[1],"pilot":0}"#, 422, "pilot: it must be an integer from 1 to 100000"),
            (#"{"flow":"echo","records":[1],"pilot":1,"pilot_pass":"9"}"#, 422, "pilot_pass: it must be a percentage"),
            (#"{"flow":"echo","records":[1],"pilot_pass":"9%"}"#, 422, "pilot_pass: it has no meaning without pilot"),
            (#"{"flow":"echo","records":[1],"dedupe":[]}"#, 422, "dedupe: it must be true, false, or a list"),
            (#"{"flow":"echo","records":[1],"shuffle":"yes"}"#, 422, "shuffle: it must be true or false"),
            (
                #"{"flow":"echo","records":[1],"max_records":0}"#, 422,
                "max_records: it must be an integer of at least 1"
            ),
            (#"{"flow":"echo","records":[1],"concurrency":1.5}"#, 422, "concurrency: it must be an integer"),
            (#"{"flow":"echo","records":[1],"concurrency":100001}"#, 422, "concurrency: it must be an integer from 1"),
            (#"{"flow":"echo","records":[1],"seed":-1}"#, 422, "seed: it must be an integer from 0"),
            (#"{"flow":"echo","records":[1],"seed":1,"shuffle":false}"#, 422, "seed: it has no meaning"),
            (#"{"flow":"echo","records":[1],"error_policy":"halt"}"#, 422, "error_policy: it must be continue"),
            (#"{"flow":"echo","records":[1],"batch_id":"last"}"#, 422, "batch_id: it must be 1 to 64"),
            (#"{"flow":"echo","records":[1],"parameters":[]}"#, 422, "parameters: it must be an object"),
            (
                #"{"flow":"echo","records":[1],"parameters":{"a":[]}}"#, 422,
                "parameters: parameter 'a' is an empty list"
            ),
            (#"{"flow":"echo","records":[1],"tags":{"a b":"c"}}"#, 422, "tags: tag 'a b' is invalid"),
            (#"{"flow":"echo","records":[1],"tags":{"a":1}}"#, 422, "tags: the value of 'a' must be a string"),
            (#"{"flow":"echo","records":[1],"format":"csv"}"#, 422, "format: it cannot be combined with 'records'"),
            (#"{"flow":"echo","records":[1],"notify":"ftp://x"}"#, 422, "notify: 'ftp://x' is not an http or https"),
            (#"{"flow":"echo","records":[1],"notify":[1]}"#, 422, "notify: it must be a string"),
            (
                #"{"flow":"echo","records":[1],"notify":["http://a/","http://a/","http://a/","http://a/","http://a/","#
                    + #""http://a/","http://a/","http://a/","http://a/"]}"#, 422, "notify: at most 8 URLs"
            ),
            (#"{"flow":"echo","records":[1}"#, 400, "not a valid JSON object"),
            (#""text""#, 400, "not a valid JSON object"),
        ]
    ) func refusals(body: String, status: Int, message: String) async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(body)
            #expect(response.status == status, "\(response.body)")
            #expect(response.headers["content-type"] == "application/problem+json")
            let detail = try response.json["detail"]?.stringValue ?? ""
            #expect(detail.contains(message), "\(detail)")
            #expect(try await bench.batches().isEmpty)
        }
    }

    @Test("URLs to notify come from JSON, or from repeated fields of a query, and replace those of the flow")
    func notify() async throws {
        try await ServerTestBench.creating { bench in
            let body = #"{"flow":"own","batch_id":"one","notify":"https://a.example/hook"}"#
            #expect(try await bench.create(body).status == 201)
            let query = "?flow=echo&batch_id=two&notify=https%3A%2F%2Fa.example%2F1&notify=http%3A%2F%2Fb.example%2F2"
            #expect(try await bench.create("x\n", as: "text/plain", query: query).status == 201)
            #expect(try await bench.create(#"{"flow":"own","batch_id":"three","notify":[]}"#).status == 201)
            let batches = try await bench.batches()
            func urls(_ id: String) -> [String]? { batches.first { $0.id.text == id }?.options.notify }
            #expect(urls("one") == ["https://a.example/hook"])
            #expect(urls("two") == ["https://a.example/1", "http://b.example/2"])
            #expect(urls("three") == ["https://flow.example/"], "an empty list means those of the flow")
        }
    }

    @Test("Without records the flow's own source is read, with the tags of the configuration")
    func ownSource() async throws {
        try await ServerTestBench.creating { bench in
            for body in [#"{"flow":"own","tags":{"kind":"b"}}"#, #"{"flow":"own","source":true,"records":null}"#] {
                let response = try await bench.create(body)
                #expect(response.status == 201, "\(response.body)")
                #expect(try await bench.tasks(of: response).map(\.record.id) == ["1", "2", "3"])
            }
            #expect(try await bench.batches().first?.options.tags == ["team": "search", "kind": "b"])
            let query = try await bench.send("POST", "/api/batches?flow=own")
            #expect(query.status == 201, "\(query.body)")
        }
    }

    @Test("A preview counts the records and publishes nothing") func preview() async throws {
        try await ServerTestBench.creating { bench in
            let response = try await bench.create(
                "id\na\nb\n",
                as: "text/csv",
                query: "?flow=echo&dry_run=true&shuffle=false"
            )
            #expect(response.status == 200, "\(response.body)")
            #expect(try response.json["records"] == 2)
            #expect(try response.json["first"]?["record"] == ["id": "a"])
            #expect(try await bench.batches().isEmpty)
        }
    }

    @Test("A read token cannot create a batch") func readToken() async throws {
        let flows = try ServerTestBench.echo
        try await ServerTestBench.withTokens({ $0.flows = flows }) { bench in
            let body = #"{"flow":"echo","records":[1]}"#
            for (token, status) in [(ServerTestBench.reader, 403), (ServerTestBench.writer, 201)] {
                let headers = ["Authorization": "Bearer \(token)", "Content-Type": "application/json"]
                let response = try await bench.send("POST", "/api/batches", headers, body: body)
                #expect(response.status == status, "\(response.body)")
            }
        }
    }
}
