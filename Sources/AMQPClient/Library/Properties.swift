import CRabbitMQ

extension ByteArena {
    /// Converts message properties for the library; the result is valid until the arena is reset.
    func properties(_ source: AMQPProperties) -> amqp_basic_properties_t {
        var result = amqp_basic_properties_t()
        func set(_ text: String?, _ flag: Int32, _ path: WritableKeyPath<amqp_basic_properties_t, amqp_bytes_t>) {
            guard let text else { return }
            result[keyPath: path] = bytes(text)
            result._flags |= UInt32(flag)
        }
        set(source.contentType, AMQP_BASIC_CONTENT_TYPE_FLAG, \.content_type)
        set(source.contentEncoding, AMQP_BASIC_CONTENT_ENCODING_FLAG, \.content_encoding)
        set(source.correlationID, AMQP_BASIC_CORRELATION_ID_FLAG, \.correlation_id)
        set(source.replyTo, AMQP_BASIC_REPLY_TO_FLAG, \.reply_to)
        set(source.expiration, AMQP_BASIC_EXPIRATION_FLAG, \.expiration)
        set(source.messageID, AMQP_BASIC_MESSAGE_ID_FLAG, \.message_id)
        set(source.type, AMQP_BASIC_TYPE_FLAG, \.type)
        set(source.userID, AMQP_BASIC_USER_ID_FLAG, \.user_id)
        set(source.appID, AMQP_BASIC_APP_ID_FLAG, \.app_id)
        if let headers = source.headers {
            result.headers = table(headers)
            result._flags |= UInt32(AMQP_BASIC_HEADERS_FLAG)
        }
        if let mode = source.deliveryMode {
            result.delivery_mode = mode.rawValue
            result._flags |= UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
        }
        if let priority = source.priority {
            result.priority = priority
            result._flags |= UInt32(AMQP_BASIC_PRIORITY_FLAG)
        }
        if let timestamp = source.timestamp {
            result.timestamp = timestamp
            result._flags |= UInt32(AMQP_BASIC_TIMESTAMP_FLAG)
        }
        return result
    }
}

extension AMQPProperties {
    /// Copies message properties of the library.
    init(_ source: amqp_basic_properties_t, contentTypes: inout StringCache) {
        self.init()
        let flags = source._flags
        func has(_ flag: Int32) -> Bool { flags & UInt32(flag) != 0 }
        if has(AMQP_BASIC_CONTENT_TYPE_FLAG) { contentType = contentTypes.text(source.content_type) }
        if has(AMQP_BASIC_CONTENT_ENCODING_FLAG) { contentEncoding = source.content_encoding.text }
        if has(AMQP_BASIC_HEADERS_FLAG) { headers = AMQPTable(source.headers) }
        if has(AMQP_BASIC_DELIVERY_MODE_FLAG) {
            self.deliveryMode = AMQPDeliveryMode(rawValue: source.delivery_mode)
        }
        if has(AMQP_BASIC_PRIORITY_FLAG) { priority = source.priority }
        if has(AMQP_BASIC_CORRELATION_ID_FLAG) { correlationID = source.correlation_id.text }
        if has(AMQP_BASIC_REPLY_TO_FLAG) { replyTo = source.reply_to.text }
        if has(AMQP_BASIC_EXPIRATION_FLAG) { expiration = source.expiration.text }
        if has(AMQP_BASIC_MESSAGE_ID_FLAG) { messageID = source.message_id.text }
        if has(AMQP_BASIC_TIMESTAMP_FLAG) { timestamp = source.timestamp }
        if has(AMQP_BASIC_TYPE_FLAG) { type = source.type.text }
        if has(AMQP_BASIC_USER_ID_FLAG) { userID = source.user_id.text }
        if has(AMQP_BASIC_APP_ID_FLAG) { appID = source.app_id.text }
    }
}
