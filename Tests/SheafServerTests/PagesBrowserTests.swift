import Foundation
import SheafTestTools
import Synchronization
import SystemPackage
import Testing

/// The dashboard in Chromium, with the real command behind it.
@Suite(.timeLimit(.minutes(8))) struct PagesBrowserTests {
    private static let configuration = #"""
        flows:
          # Fails for records with "bad" until the file "fixed" exists.
          work:
            exec:
              - bash
              - -c
              - |
                sleep 0.1
                if [ ! -e fixed ] && grep -q bad; then echo 'it went wrong <i>here</i>' >&2; exit 3; fi
            retries: 0
          asker:
            process:
              - python3
              - -c
              - |
                import json, sys
                for line in sys.stdin:
                    task = json.loads(line)
                    print(json.dumps({"ask": {"question": "keep <b>it</b>?", "choices": ["yes", "no"]}}), flush=True)
                    answer = json.loads(sys.stdin.readline())["answer"]
                    print(json.dumps({"task_id": task["task_id"], "output": answer}), flush=True)
        """#

    @Test("A person creates, follows, retries, answers and cancels in a browser; each page is accessible")
    func journey() async throws {
        let python = try await BrowserPython.interpreter.value
        try await Workbench.with(configuration: Self.configuration) { bench in
            let records = (0..<60).map { #"{"id":"r\#($0)","text":"\#($0 % 10 == 3 ? "<b>bad</b>" : "good")"}"# }
            try bench.write(records.joined(separator: "\n"), to: "records.jsonl")
            try bench.write((0..<3000).map { #"{"id":"s\#($0)"}"# }.joined(separator: "\n"), to: "slow.jsonl")
            try bench.write(#"{"id":"one"}"#, to: "one.jsonl")
            let script = BrowserPython.folder.appending("browser.py").string
            let run = try await bench.shell(
                """
                trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
                "$SHEAF" run --concurrency 4 2> worker.log &
                "$SHEAF" serve --port 0 2> server.log &
                until url=$(grep -o 'http://[^ ]*' server.log); do sleep 0.05; kill -0 $! || exit 9; done
                '\(python.string)' '\(script)' "$url" "$PWD"
                """,
                limit: .seconds(420)
            )
            let log = (try? bench.read("server.log")) ?? ""
            #expect(run.code == 0, "\(run.output)\(run.talk)\n\(log)")
            #expect(run.lines.last == "no error, no other host")
        }
    }
}

/// A Python environment with a client for web sockets, kept between runs in the build folder.
private enum BrowserPython {
    /// The folder of the Python program.
    static let folder = FilePath(#filePath).removingLastComponent()
    /// The interpreter, prepared at first use.
    static let interpreter = Task { try await prepare() }

    private static let package = "websocket-client==1.8.0"

    private static func prepare() async throws -> FilePath {
        let home = folder.removingLastComponent().removingLastComponent().appending(".build/python-\(package)")
        let interpreter = home.appending("bin/python")
        let result = Mutex("")
        try await Workbench.with(configuration: "") { bench in
            let run = try await bench.shell(
                """
                [ -e '\(home.string)/is-complete' ] && exit 0
                command -v chromium || { echo 'no Chromium (apt-get install chromium)'; exit 1; }
                python3 -m venv --clear '\(home.string)' &&
                '\(interpreter.string)' -m pip install --quiet --disable-pip-version-check '\(package)' &&
                touch '\(home.string)/is-complete'
                """,
                limit: .seconds(180)
            )
            if run.code != 0 { result.withLock { $0 = "\(run.output)\(run.talk)" } }
        }
        let problem = result.withLock(\.self)
        try #require(problem.isEmpty, "\(package) or Chromium is missing: \(problem)")
        return interpreter
    }
}
