/// An alarm of a RabbitMQ node: what `rabbitmqctl` is told so that it is set, and so that it is not.
package struct BrokerAlarm: Sendable, CustomStringConvertible {
    package let description: String
    package let set: [String]
    package let clear: [String]

    /// Both that there are.
    package static let all = [
        BrokerAlarm(
            description: "memory",
            set: ["set_vm_memory_high_watermark", "0.0000001"],
            clear: ["set_vm_memory_high_watermark", "0.4"]
        ),
        BrokerAlarm(
            description: "disk",
            set: ["set_disk_free_limit", "900000GB"],
            clear: ["set_disk_free_limit", "50MB"]
        ),
    ]
}
