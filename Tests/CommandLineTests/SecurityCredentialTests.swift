import Foundation
import SheafTestTools
import Testing

/// A password is shown to the broker only.
extension SecurityTests {
    private static let password = "geheim-4711"

    @Test(
        "The process title hides passwords",
        arguments: [
            ["--broker", "amqp://user:\(password)@127.0.0.1:PORT/"],
            ["--broker=amqp://user:\(password)@127.0.0.1:PORT/"],
            ["--set", "broker=amqp://user:\(password)@127.0.0.1:PORT/"],
        ]
    ) func processTitle(arguments: [String]) async throws {
        try await Workbench.with { bench in
            let server = try SilentServer()
            let options = arguments.map { $0.replacing("PORT", with: String(server.port)) } + ["--log-level", "trace"]
            let run = try await bench.sheaf(["list"] + options) { process in
                // The title has changed once the command has connected.
                try await bench.until("a connection") { server.accept() }
                let title = try String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)
                #expect(title.contains("amqp://user:***********@127.0.0.1:\(server.port)/"))
                #expect(!title.contains(Self.password))
                server.close()
            }
            #expect(run.code == 3, "\(run.talk)")
            #expect(!run.talk.contains(Self.password))
        }
    }

    @Test(
        "Errors about the command line do not quote passwords",
        arguments: [
            ["list", "amqp://u:\(password)@h"], ["create", "echo", "amqp://u:\(password)@h/x"],
            ["amqp://u:\(password)@h"],
            ["list", "--log-level", "amqp://u:\(password)@h"], ["list", "--broker", "http://u:\(password)@h"],
            ["list", "--broker", "amqp://u:x?\(password)@h"], ["list", "--broker", "amqp://u:x/\(password)@h"],
            ["list", "--broker", "amqp://u:1/\(password)@h"], ["list", "--broker", "amqp://u:1?\(password)@h"],
            ["list", "--broker", "amqp://u:%\(password)@h"], ["list", "--set", "broker=[\"amqp://u:\(password)@h\"]"],
            ["doctor", "--json", "--broker", "amqp://u:1/\(password)@h"],
        ]
    ) func commandLine(arguments: [String]) async throws {
        try await Workbench.with { bench in
            let run = try await bench.sheaf(arguments)
            #expect(run.code != 0)
            #expect(!(run.talk + run.output).isEmpty)
            #expect(!run.talk.contains(Self.password), "\(run.talk)")
            #expect(!run.output.contains(Self.password), "\(run.output)")
        }
    }

    @Test("A refused login does not show the password") func refused() async throws {
        let node = try await RabbitMQNode.shared
        let broker = ["--broker", "amqp://guest:\(Self.password)@\(node.endpoint)/", "--log-level", "trace"]
        try await Workbench.with { bench in
            try bench.write("a\n", to: "in.txt")
            for command in [["list"], ["create", "echo", "in.txt"], ["run"], ["doctor"], ["doctor", "--json"]] {
                let run = try await bench.sheaf(command + broker)
                #expect(run.code == 3, "\(command): \(run.talk)")
                #expect(!run.talk.contains(Self.password), "\(command): \(run.talk)")
                #expect(!run.output.contains(Self.password), "\(command): \(run.output)")
            }
        }
    }

    @Test("The most verbose log does not show the password") func accepted() async throws {
        let node = try await RabbitMQNode.shared
        let user = "security-\(UUID().uuidString)"
        try await node.rabbitmqctl("add_user", user, Self.password)
        try await node.rabbitmqctl("set_permissions", user, ".*", ".*", ".*")
        let url = "amqp://\(user):\(Self.password)@\(node.endpoint)/"
        let name = "s\(UUID().uuidString.prefix(8))"
        try await Workbench.with(
            configuration: "flows:\n  env: { exec: [\"env\"] }\n",
            environment: ["SHEAF_BROKER": url, "SHEAF_NAMESPACE": name]
        ) { bench in
            try bench.write("a\n", to: "in.txt")
            for command in [
                ["create", "env", "in.txt", "--json"], ["run", "--until-empty", "--batch", "last"], ["list", "--json"],
                ["results", "last"], ["doctor"], ["doctor", "--json"],
            ] {
                let run = try await bench.sheaf(command + ["--log-level", "trace"])
                #expect(run.code == 0, "\(command): \(run.talk)")
                #expect(!run.talk.contains(Self.password), "\(command): \(run.talk)")
                #expect(!run.output.contains(Self.password), "\(command): \(run.output)")
            }
        }
        try await node.rabbitmqctl("delete_user", user)
    }
}
