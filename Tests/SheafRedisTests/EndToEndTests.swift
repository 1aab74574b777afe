import SheafCore
import SheafRedis
import SheafTestTools
import Testing

/// A service that sends requests by Redis and reads answers over HTTP, with the real command in between.
@Suite("From Redis through a provider's batches to HTTP") struct EndToEndTests {
    @Test("Requests that come by Redis run in bulk, and their answers are read over HTTP", arguments: Kind.allCases)
    func answers(kind: Kind) async throws {
        try await BatchServer.with(["plain": true]) { provider in
            try await RedisServer.with { redis in
                let configuration = """
                    flows:
                      ask:
                        chat:
                          base_url: \(provider.base)
                          api_key: \(BatchServer.key)
                          model: gpt-test
                          messages: "{{messages}}"
                        bulk: { wait_time: 1s }
                    dispatch:
                      stream:
                        flow: ask
                        queue: redis://127.0.0.1:\(redis.port)/0
                        queue_key: requests
                        queue_type: \(kind.rawValue)
                        queue_threshold: 20
                        time_threshold: 1s
                        time_interval: 100ms
                    """
                try await Workbench.with(configuration: configuration) { bench in
                    let count = 50
                    let bodies = (0..<count).map { number in
                        #"{"id":"r\#(number)","messages":[{"role":"user","content":"\#(number)"}]}"#
                    }
                    try await redis.send(bodies, kind, to: "requests")
                    let run = try await bench.shell(Self.script(count), limit: .seconds(90))
                    let answers = try run.output.split(separator: "\n").map { try JSON.parse(String($0)) }
                    #expect(answers.count == count, "\(run.output)\(run.talk)")
                    for (number, answer) in answers.enumerated() {
                        let content = answer["output"]?["content"]?.stringValue ?? ""
                        #expect(answer["id"]?.stringValue == "r\(number)", "\(answer.text)")
                        #expect(answer["state"] == "succeeded" && content.hasSuffix(": \(number)"), "\(answer.text)")
                    }
                    #expect(Set(answers.compactMap { $0["batch_id"]?.stringValue }).count >= 3)
                    #expect(try await provider.count("paid") == count, "each request is paid once")
                }
            }
        }
    }

    /// Serves, dispatches and works until the answers to all requests were read, each by one waiting request.
    private static func script(_ count: Int) -> String {
        """
        "$SHEAF" serve --port 0 >server.log 2>&1 & server=$!
        "$SHEAF" dispatch >dispatch.log 2>&1 & dispatch=$!
        "$SHEAF" run -c 8 >run.log 2>&1 & worker=$!
        until grep -q listening server.log; do kill -0 $server || exit 1; sleep 0.05; done
        port=$(sed -n 's/.*127\\.0\\.0\\.1:\\([0-9]*\\).*/\\1/p' server.log)
        for number in $(seq 0 \(count - 1)); do
            curl -s "http://127.0.0.1:$port/api/requests/stream/r$number?wait=60"; echo
        done
        kill $server $dispatch $worker
        wait $server $dispatch $worker
        cat server.log dispatch.log run.log >&2
        """
    }
}
