import java.nio.charset.StandardCharsets;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** Signs in by JDBC and says who it is; the connection as name=value lines on standard input. */
public class SignIn {
    public static void main(String[] arguments) throws Exception {
        Properties to = new Properties();
        for (String line : new String(System.in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
            int at = line.indexOf('=');
            if (at > 0) {
                to.setProperty(line.substring(0, at), line.substring(at + 1));
            }
        }
        Properties properties = new Properties();
        properties.setProperty("user", to.getProperty("user"));
        properties.setProperty("password", to.getProperty("password"));
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", to.getProperty("ca"));
        if (to.containsKey("cert")) {
            properties.setProperty("sslcert", to.getProperty("cert"));
            properties.setProperty("sslkey", to.getProperty("key"));
        }
        if (to.containsKey("otp")) {
            properties.setProperty("options", "-c locus.otp=" + to.getProperty("otp"));
        }
        String url = "jdbc:postgresql://" + to.getProperty("host") + ":" + to.getProperty("port") + "/locus";
        try (var connection = DriverManager.getConnection(url, properties);
                var rows = connection.createStatement().executeQuery("SELECT current_user")) {
            rows.next();
            System.out.println(rows.getString(1));
        } catch (SQLException error) {
            System.out.println("refused: " + error.getSQLState() + " " + error.getMessage());
        }
    }
}
