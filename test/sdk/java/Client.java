import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.ScreenMessage;
import com.segment.analytics.messages.TrackMessage;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Sends every kind of call by com.segment.analytics.java and prints what it sent. Run from source: java -cp 'lib/*' Client.java. */
public final class Client {
    private static final String RUN = System.getenv("FIRTH_RUN");
    private static final String USER = "user-" + RUN;
    private static final String ANONYMOUS = "anon-" + RUN;

    private final List<MessageBuilder<?, ?>> messages = new ArrayList<>();
    private final List<Map<String, Object>> sent = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        new Client().run();
    }

    private void run() throws InterruptedException {
        calls();
        CountDownLatch pending = new CountDownLatch(messages.size());
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Analytics analytics = Analytics.builder(System.getenv("FIRTH_WRITE_KEY"))
            .endpoint(System.getenv("FIRTH_HOST"))
            .callback(new Callback() {
                @Override public void success(Message message) {
                    pending.countDown();
                }

                @Override public void failure(Message message, Throwable reason) {
                    failure.set(reason);
                    pending.countDown();
                }
            })
            .build();
        messages.forEach(analytics::enqueue);
        analytics.flush();
        boolean done = pending.await(40, TimeUnit.SECONDS);
        analytics.shutdown();
        if (!done || failure.get() != null) {
            System.err.println("not delivered: " + failure.get());
            System.exit(1);
        }
        print();
        System.exit(0); // the SDK's HTTP client keeps threads for a minute
    }

    private void print() {
        Gson gson = new GsonBuilder().serializeNulls().disableHtmlEscaping()
            .registerTypeAdapter(Date.class, (JsonSerializer<Date>) (date, type, context) -> new JsonPrimitive(date.toInstant().toString()))
            .create();
        System.out.println(gson.toJson(map("library", "com.segment.analytics.java:analytics", "version", "3.5.4", "calls", sent)));
    }

    /** Values of every kind that JSON from Java can hold. */
    private static Map<String, Object> kinds() {
        Map<String, Object> kinds = map(
            "id", "order-17", "order", "a reserved word", "text", "plain", "unicode", "Zoë, 日本語, 🌊, \u00a0\u2028",
            "nul", "before\0after", "quoted", "it's \"quoted\" \\ / \t", "empty", "", "numericText", "0012",
            "whole", 42, "negative", -7, "zero", 0, "largest", Long.MAX_VALUE, "smallest", Long.MIN_VALUE,
            "beyond", BigInteger.TWO.pow(100), "decimal", new BigDecimal("0.10"), "price", 18.99, "integral", 3.0, "single", 1.5f,
            "tiny", 1e-7, "huge", 1e21, "yes", true, "no", false, "nothing", null,
            "happenedAt", at("2025-02-03T04:05:06.789Z"), "zoned", "2025-04-02T06:39:03.250+05:30", "day", "2024-02-29",
            "notADay", "2023-02-29", "Coupon Code", "SPRING", "__proto__", map("polluted", true));
        kinds.put("shipping", map("address", map("city", "Zürich", "postalCode", "8001"), "weightKg", 1.5, "express", false, "parcels", 2));
        kinds.put("products", Arrays.asList(map("sku", "a-1", "quantity", 2, "price", 9.495), map("sku", "b\"2", "quantity", 1, "price", 0)));
        kinds.put("tags", Arrays.asList("x", "日本"));
        kinds.put("mixed", Arrays.asList(1, "two", true, map("three", 3)));
        kinds.put("none", Collections.emptyList());
        kinds.put("nobody", Collections.emptyMap());
        return kinds;
    }

    private void calls() {
        Map<String, Object> first = map("id", "crm-7", "email", "zoë@example.com", "plan", "free", "logins", 3, "score", 4.5, "admin", true,
            "phone", null, "createdAt", at("2024-12-24T18:00:00Z"), "address", map("city", "Zürich", "postalCode", "8001"));
        Map<String, Object> second = map("plan", "paid", "company", map("name", "Wéird & Söns", "employees", 12));
        add("identify", IdentifyMessage.builder().traits(first), at("2025-03-01T10:20:30.123Z"), map("traits", first));
        add("identify", IdentifyMessage.builder().traits(second), null, map("traits", second));

        Map<String, Object> kinds = kinds();
        Map<String, Object> context = map("ip", "203.0.113.9", "locale", "de-CH",
            "campaign", map("name", "Spring 🌱", "source", "newsletter"), "custom", map("Flag", true, "level", 7, "ratio", 0.25));
        add("track", TrackMessage.builder("Order Completed").properties(kinds).context(context)
            .enableIntegration("All", true).enableIntegration("Mixpanel", false), at("2025-03-01T10:21:00.456Z"),
            map("event", "Order Completed", "properties", kinds, "context", context, "integrations", map("All", true, "Mixpanel", false)));
        track("Signed Up 🎉", map("plan", "free", "seats", 1));
        track("Signed Up 🎉", map("plan", "free", "seats", 2.5));
        track("日本語", map("tracksOnly", true));

        Map<String, Object> page = map("depth", 2, "section", "unpack", "readAt", at("2025-03-01T23:59:59Z"));
        add("page", PageMessage.builder("Install").category("Docs").properties(page), at("2025-03-02T00:00:00.001Z"),
            map("name", "Install", "category", "Docs", "properties", page));
        Map<String, Object> screen = map("depth", 1, "landscape", false);
        add("screen", ScreenMessage.builder("Home").properties(screen), null, map("name", "Home", "properties", screen));

        String company = "company-" + RUN;
        Map<String, Object> firm = map("name", "Wéird & Söns", "employees", 12, "mrr", 1234.56, "trialEndsAt", at("2025-04-01T00:00:00Z"),
            "domains", Arrays.asList("example.com", "example.org"));
        Map<String, Object> later = map("employees", 13, "plan", "paid");
        add("group", GroupMessage.builder(company).traits(firm), at("2025-03-02T08:00:00Z"), map("groupId", company, "traits", firm));
        add("group", GroupMessage.builder(company).traits(later), null, map("groupId", company, "traits", later));
        add("alias", AliasMessage.builder("old-" + RUN), null, map("previousId", "old-" + RUN));
    }

    private void track(String event, Map<String, Object> properties) {
        add("track", TrackMessage.builder(event).properties(properties), null, map("event", event, "properties", properties));
    }

    /** Completes a message with the fields that all have, and notes it. */
    private void add(String type, MessageBuilder<?, ?> message, Date timestamp, Map<String, Object> call) {
        String id = "java-" + RUN + "-" + messages.size();
        message.messageId(id);
        message.userId(USER);
        message.anonymousId(ANONYMOUS);
        if (timestamp != null) {
            message.timestamp(timestamp);
            call.put("timestamp", timestamp);
        }
        call.putAll(map("type", type, "messageId", id, "userId", USER, "anonymousId", ANONYMOUS));
        messages.add(message);
        sent.add(call);
    }

    private static Date at(String text) {
        return Date.from(Instant.parse(text));
    }

    private static Map<String, Object> map(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put((String) pairs[i], pairs[i + 1]);
        }
        return map;
    }
}
