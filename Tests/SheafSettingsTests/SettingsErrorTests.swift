import SheafCore
import Testing

@testable import SheafSettings

@Suite struct SettingsErrorTests {
    private static let broker =
        "expected amqp://user:password@host:port/vhost, the same with amqps, 'embedded', or 'embedded:' and a folder"
    private static let duration = "expected a duration such as 500ms, 60s, 5m, 2h or 1d"
    private static let name = "1 to 64 letters, digits, '_' or '-', and not the word 'last'"
    private static let size = "expected a size such as 64KiB, 1MiB or 10MB"

    @Test(
        "An error at the top names the place and the cause",
        arguments: [
            ("brokr: x", "sheaf.yaml:1: brokr: unknown key; did you mean 'broker'?"),
            (
                "\n\nworkers: 3",
                """
                sheaf.yaml:3: workers: unknown key; known keys are broker, namespace, concurrency, \
                acknowledgement_timeout, exit_zero_after_drain, webhook_secret, notify_allow_private, limits, prices, server, \
                metrics, tracing, flows, dispatch
                """
            ),
            (
                "acknowledgement_timeout: 10ms",
                "sheaf.yaml:1: acknowledgement_timeout: less than 1s, which is the shortest allowed"
            ),
            (
                "acknowledgement_timeout: 30",
                "sheaf.yaml:1: acknowledgement_timeout: \(duration), found the number 30; add a unit, as in 30s"
            ),
            ("broker: [x]", "sheaf.yaml:1: broker: \(broker), found a list"),
            ("broker: ''", "sheaf.yaml:1: broker: \(broker), found ''"),
            ("broker: http://host", "sheaf.yaml:1: broker: \(broker)"),
            ("broker: amqp://", "sheaf.yaml:1: broker: \(broker)"),
            ("broker: amqp://${NOPE}", "sheaf.yaml:1: broker: the environment variable 'NOPE' is not set"),
            ("broker: amqp://${NOPE", "sheaf.yaml:1: broker: '${' without '}'"),
            (
                "namespace: a b",
                "sheaf.yaml:1: namespace: expected a name (\(name)), found 'a b'"
            ),
            ("concurrency: 0", "sheaf.yaml:1: concurrency: expected an integer from 1 to 10000, found the number 0"),
            (
                "concurrency: 10001",
                "sheaf.yaml:1: concurrency: expected an integer from 1 to 10000, found the number 10001"
            ),
            (
                "concurrency: 1.5",
                "sheaf.yaml:1: concurrency: expected an integer from 1 to 10000, found the number 1.5"
            ),
            ("concurrency: '3'", "sheaf.yaml:1: concurrency: expected an integer from 1 to 10000, found '3'"),
            ("concurrency: many", "sheaf.yaml:1: concurrency: expected an integer from 1 to 10000, found 'many'"),
            ("flows: [a]", "sheaf.yaml:1: flows: expected a map of flows by name, found a list"),
            (
                "flows:\n  my flow: { echo: true }",
                "sheaf.yaml:2: flows.my flow: 'my flow' is not a valid flow name: \(name)"
            ),
            ("flows:\n  f: cat", "sheaf.yaml:2: flows.f: expected a map, found 'cat'"),
            (
                "flows:\n  f:\n",
                "sheaf.yaml:2: flows.f: expected a map, found nothing"
            ),
            (
                "flows:\n  f: {}",
                "sheaf.yaml:2: flows.f: it does not say what to run; add exec: [\"program\", \"argument\"], process, "
                    + "http, chat, embedding, echo: true or swift: true"
            ),
            (
                "flows:\n  f: { echo: false }",
                "sheaf.yaml:2: flows.f: it does not say what to run; add exec: [\"program\", \"argument\"], process, "
                    + "http, chat, embedding, echo: true or swift: true"
            ),
            (
                "flows:\n  f: { echo: true, exec: [cat] }",
                "sheaf.yaml:2: flows.f: it has both exec and echo; a flow does one thing"
            ),
            ("flows:\n  f: { echo: yes }", "sheaf.yaml:2: flows.f.echo: expected true or false, found 'yes'"),
            ("- a", "sheaf.yaml:1: expected a map with keys such as 'flows:', found a list"),
            ("just text", "sheaf.yaml:1: expected a map with keys such as 'flows:', found 'just text'"),
        ]
    )
    func namesPlaceAndCause(yaml: String, message: String) throws {
        #expect(try SettingsFixtures.error(yaml) == message)
    }

    /// Each is the third line of a flow whose second line is `exec: [cat]`.
    @Test(
        "An error in a flow names the place and the cause",
        arguments: [
            ("timout: 5s", "timout: unknown key; did you mean 'timeout'?"),
            ("max-output: 5", "max-output: unknown key; did you mean 'max_output'?"),
            ("shufle: true", "shufle: unknown key; did you mean 'shuffle'?"),
            ("timeout: 60", "timeout: \(duration), found the number 60; add a unit, as in 60s"),
            ("timeout: soon", "timeout: \(duration), found 'soon'"),
            ("timeout: -5s", "timeout: \(duration), found '-5s'"),
            ("timeout: 99999999d", "timeout: \(duration), found '99999999d'"),
            ("timeout: [5s]", "timeout: \(duration), found a list"),
            ("timeout: 0s", "timeout: 0 would end every task at once; leave the key out for no time-out"),
            ("dedupe: some", "dedupe: expected true, false, or a list of 1 to 100 names of fields, found 'some'"),
            ("dedupe: []", "dedupe: expected true, false, or a list of 1 to 100 names of fields, found a list"),
            ("retries: -1", "retries: expected an integer of at least 0, found the number -1"),
            ("retries: [1]", "retries: expected an integer of at least 0, found a list"),
            ("retry_delay: 2", "retry_delay: \(duration), found the number 2; add a unit, as in 2s"),
            ("retry_delay: 10m", "retry_delay: longer than retry_max_delay, which is 5m by default"),
            ("retry_max_delay: 8d", "retry_max_delay: more than 7d, which is the longest wait"),
            (
                "retry_on: [timout]",
                "retry_on[0]: 'timout' is not an error type that another attempt may fix; did you mean 'timeout'?"
            ),
            (
                "retry_on: [timeout, worker-lost]",
                "retry_on[1]: 'worker-lost' does not depend on retry_on: a task whose worker died always runs again, "
                    + "until its queue's delivery limit; leave it out"
            ),
            (
                "retry_on: parameters",
                "retry_on: 'parameters' does not depend on retry_on: another attempt would fail in the same way; "
                    + "leave it out"
            ),
            ("retry_on: [timeout, all]", "retry_on[1]: 'all' cannot be part of a list; write retry_on: all"),
            ("retry_on: [0]", "retry_on[0]: 0 is not the exit code of a failure, which is from 1 to 255"),
            ("retry_on: 256", "retry_on: 256 is not the exit code of a failure, which is from 1 to 255"),
            (
                "retry_on: { timeout: 1 }",
                "retry_on: expected all, none, or a list of error types and exit codes, such as [timeout, 75], "
                    + "found a map"
            ),
            ("source: { a: b }", "source: expected a path, a glob or a list of them, found a map"),
            ("source: [a, [b]]", "source[1]: expected a path, a glob or a list of them, found a list"),
            ("source: ''", "source: expected a path, a glob or a list of them, found ''"),
            ("id: [sku]", "id: expected the name of a field, found a list"),
            ("columns: [a]", "columns: expected a map of new column names to those of the input, found a list"),
            ("columns: { a: [b] }", "columns.a: expected a string, found a list"),
            ("parameters: [a]", "parameters: expected a map of parameters, found a list"),
            ("environment: PATH", "environment: expected a map of variables, found 'PATH'"),
            ("environment: { A: ~ }", "environment.A: expected a string, found nothing"),
            ("environment: { 1A: x }", "environment.1A: that is not a valid name of a variable"),
            ("directory: { }", "directory: expected a folder, found a map"),
            ("max_output: big", "max_output: \(size), found 'big'"),
            ("max_output: 0", "max_output: \(size), found the number 0"),
            ("max_output: 9MiB", "max_output: more than 8MiB, which is the limit of a message"),
            (
                "error_policy: halt",
                """
                error_policy: expected continue, stop, stop:N (N failures are tolerated) or stop:P% \
                (P percent of the total are), found 'halt'
                """
            ),
            ("shuffle: on", "shuffle: expected true or false, found 'on'"),
            ("strict: 1", "strict: expected true or false, found the number 1"),
            ("max_records: 0", "max_records: expected an integer of at least 1, found the number 0"),
            ("max_running: x", "max_running: expected an integer from 1 to 100000, found 'x'"),
            ("tags: x", "tags: expected a map of tags, found 'x'"),
            ("tags: { a b: c }", "tags: tag 'a b' is invalid; a tag is \(Tags.rule)"),
            ("format: []", "format: expected a format, found a list"),
        ]
    )
    func namesPlaceAndCauseInAFlow(line: String, message: String) throws {
        #expect(
            try SettingsFixtures.error("flows:\n  f:\n    exec: [cat]\n    \(line)\n")
                == "sheaf.yaml:4: flows.f.\(message)"
        )
    }

    @Test(
        "An error in a command names the argument",
        arguments: [
            (
                "exec: cat",
                "3: flows.f.exec: expected a list with a program and its arguments, such as [\"wc\", \"-w\"], "
                    + "found 'cat'"
            ),
            ("exec: []", "3: flows.f.exec: it is empty; the first item is the program"),
            ("exec: [cat, [x]]", "3: flows.f.exec[1]: expected a string, found a list"),
            ("exec: [cat, ~]", "3: flows.f.exec[1]: expected a string, found nothing"),
            ("exec:\n      - cat\n      - '{{x'", "5: flows.f.exec[1]: the tag '{{x' is not closed"),
            (
                "exec:\n      - '{{tool}}'",
                """
                4: flows.f.exec[0]: the program cannot be a template: the worker's owner decides what is run, \
                not a record
                """
            ),
            (
                "echo: true\n    directory: x",
                "4: flows.f.directory: only a flow with exec or process can have this key"
            ),
        ]
    )
    func namesWhatIsWrongWithAProgram(line: String, message: String) throws {
        #expect(try SettingsFixtures.error("flows:\n  f:\n    \(line)\n") == "sheaf.yaml:\(message)")
    }

    @Test(
        "A YAML syntax error names the line",
        arguments: [
            (
                "flows:\n  f: [a, b\n",
                """
                sheaf.yaml:3: this is not YAML: did not find expected ',' or ']' \
                (while parsing a flow sequence, which begins on line 2)
                """
            ),
            (
                "a: 'open\n",
                """
                sheaf.yaml:2: this is not YAML: found unexpected end of stream \
                (while scanning a quoted scalar, which begins on line 1)
                """
            ),
            (
                "flows:\n\tf: x\n",
                """
                sheaf.yaml:2: this is not YAML: found character that cannot start any token \
                (while scanning for the next token, which begins on line 2)
                """
            ),
            ("a: *nobody", "sheaf.yaml:1: this is not YAML: found undefined alias"),
            ("a: 1\na: 2\n", "sheaf.yaml:1: more than one 'a' in the map that begins here"),
            (
                "a: 1\n---\nb: 2\n",
                """
                sheaf.yaml:2: this is not YAML: but found another document \
                (expected a single document in the stream, which begins on line 1)
                """
            ),
            ("a: \u{1}\n", "sheaf.yaml:1: this is not YAML: control characters are not allowed"),
            ("[a]: b\n", "sheaf.yaml:1: a key that is not a string"),
            ("flows:\n  <<: x\n", "sheaf.yaml:2: '<<' expects a map, found 'x'"),
        ]
    )
    func namesPlacesInWhatIsNotYAML(yaml: String, message: String) throws {
        #expect(try SettingsFixtures.error(yaml) == message)
    }

    @Test(
        "An error in --set names the flag and the key",
        arguments: [
            ("namespace", "--set: expected --set key.path=value"),
            ("=x", "--set: a key is missing in ''; expected --set key.path=value"),
            ("a..b=x", "--set: a key is missing in 'a..b'; expected --set key.path=value"),
            ("nmespace=x", "--set nmespace: unknown key; did you mean 'namespace'?"),
            ("concurrency=many", "--set concurrency: expected an integer from 1 to 10000, found 'many'"),
            ("namespace.x=1", "--set namespace.x: namespace is not a map but 'file' (sheaf.yaml:1)"),
            ("flows.f.exec.0=x", "--set flows.f.exec.0: flows.f.exec is not a map but a list (sheaf.yaml:2)"),
            ("flows.f.timeout=5", "--set flows.f.timeout: \(duration), found the number 5; add a unit, as in 5s"),
            ("flows.f.parameters=x", "--set flows.f.parameters: expected a map of parameters, found 'x'"),
            (
                "flows.f.echo=true", "sheaf.yaml:2: flows.f: it has both exec and echo; a flow does one thing"
            ),
        ]
    )
    func namesTheFlag(assignment: String, message: String) throws {
        let yaml = "namespace: file\nflows: { f: { exec: [cat] } }"
        #expect(try SettingsFixtures.error(yaml, SettingsOverrides(set: [assignment])) == message)
    }

    @Test("An error in a variable or a flag names it") func namesTheVariable() throws {
        #expect(
            try SettingsFixtures.error(nil, environment: ["SHEAF_CONCURRENCY": "many"])
                == "the environment variable SHEAF_CONCURRENCY: expected an integer from 1 to 10000, found 'many'"
        )
        #expect(
            try SettingsFixtures.error(nil, environment: ["SHEAF_BROKER": "localhost:5672"])
                == "the environment variable SHEAF_BROKER: \(Self.broker)"
        )
        #expect(
            try SettingsFixtures.error(nil, SettingsOverrides(concurrency: 0))
                == "--concurrency: expected an integer from 1 to 10000, found '0'"
        )
    }
}
