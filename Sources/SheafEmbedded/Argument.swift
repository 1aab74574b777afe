import SheafBroker
import SheafCore

/// Checks what callers pass, with the limits that every broker has.
enum Argument {
    private static let (nameBytes, propertyBytes, messageBytes) = (233, 255, 128 << 20)

    /// Throws where a name is empty or too long.
    static func check(name: String) throws {
        guard !name.isEmpty else { throw BrokerError(.invalidArgument, "a name must not be empty") }
        guard name.utf8.count <= nameBytes else {
            throw BrokerError(.invalidArgument, "the name \(name) is longer than \(nameBytes) bytes")
        }
    }

    /// Throws where a message could not travel through every broker.
    static func check(_ messages: [Message]) throws {
        for message in messages {
            for property in [message.id, message.type, message.contentType] {
                guard property.utf8.count <= propertyBytes else {
                    throw BrokerError(.invalidArgument, "a property is longer than \(propertyBytes) bytes: \(property)")
                }
            }
            for header in message.headers where header.name.utf8.count > propertyBytes {
                throw BrokerError(.invalidArgument, "a header's name is longer than \(propertyBytes) bytes")
            }
            guard message.body.count <= messageBytes else {
                throw BrokerError(.tooLarge, "message \(message.id) has \(message.body.count) bytes")
            }
        }
    }
}
